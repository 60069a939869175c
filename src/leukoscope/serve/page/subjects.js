/**
 * The form that gives a subject to many cells at once, and takes it back.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 */

import { field, find } from "./dom.js";
import { formatCounted } from "./formatting.js";
import { restoreSubjects, setSubject } from "./naming.js";

/**
 * Whose subject may be entered.
 * @param {number} without  cells shown without a subject
 * @param {number} shown
 */
export function showWhose(without, shown) {
  const [some, every] = /** @type {[HTMLOptionElement, HTMLOptionElement]} */ ([...find("subject-whose").children]);
  if (some.disabled !== !without) field("subject-whose").value = without ? "without" : "shown";
  [some.textContent, some.disabled] = [`the ${formatCounted(without, "cell")} shown without one`, !without];
  every.textContent = `all ${formatCounted(shown, "cell")} shown`;
}

/**
 * @param {() => Cell[]} listCells  those shown
 * @param {() => void} onChange
 */
export function buildSubjectForm(listCells, onChange) {
  /** @type {import("./naming.js").Before} */
  let before = [];
  find("subject-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = field("subject-name").value.trim(), all = field("subject-whose").value === "shown";
    const cells = listCells().filter(({ subject }) => all || !subject);
    before = setSubject(cells, name);
    find("subject-done").textContent = `${formatCounted(cells.length, "cell")}: subject ${name ? `“${name}”` : "removed"}.`;
    find("subject-undo").hidden = false;
    field("subject-name").value = "";
    onChange();
  });
  find("subject-undo").addEventListener("click", () => {
    restoreSubjects(before);
    find("subject-done").textContent = `${formatCounted(before.length, "cell")}: as before.`;
    find("subject-undo").hidden = true;
    field("subject-name").focus(); // the button goes
    onChange();
  });
}
