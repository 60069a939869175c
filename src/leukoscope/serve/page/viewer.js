/**
 * One cell, large, with the reader's own call; goes from cell to cell in the order shown.
 *
 * @typedef {import("./gallery.js").Card} Card
 * @typedef {import("./engine.js").Engine} Engine
 * @typedef {import("./deciding.js").Reading} Reading
 */

import { callCell, listWarnings } from "./deciding.js";
import { buildWhy } from "./explaining.js";
import { build, formatProbability, showPicture } from "./gallery.js";

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const SURE = {
  leukaemic: "Sure: normal is ruled out, with 1 in 10 normal cells of new people wrongly so.",
  normal: "Sure: leukaemic is ruled out, with 1 in 10 leukaemic cells of new people wrongly so.",
  uncertain: "Uncertain: neither class is ruled out, or something warns.",
  error: "",
};

/**
 * @param {object} page
 * @param {() => Card[]} page.listShown
 * @param {() => number} page.readThreshold
 * @param {Engine["explain"]} page.explain
 * @param {() => void} page.onChange    a reading or a subject was given
 * @param {(card: Card) => void} page.onClose
 */
export function buildViewer({ listShown, readThreshold, explain, onChange, onClose }) {
  const dialog = /** @type {HTMLDialogElement} */ (find("viewer"));
  const subject = /** @type {HTMLInputElement} */ (find("v-subject"));
  const why = buildWhy({ explain, readThreshold });
  const choices = /** @type {HTMLButtonElement[]} */ ([...dialog.querySelectorAll("[data-reading]")]);
  /** @type {Card[]} */
  let order = []; // as it was when the viewer was opened: a reading must not move the cell away
  let at = 0;

  function show() {
    const { cell, open } = order[at];
    const call = callCell(cell, readThreshold());
    find("v-name").textContent = cell.image;
    find("v-call").className = `call ${call}`;
    find("v-call").textContent = call === "error" ? "not read" : call;
    find("v-probability").textContent = cell.probability === null ? "" : `probability of leukaemic ${formatProbability(cell.probability)}, threshold ${readThreshold().toFixed(3)}`;
    find("v-sure").textContent = SURE[cell.sureCall];
    find("v-warnings").replaceChildren(...listWarnings(cell).map((words) => build("li", "", words)));
    find("v-place").textContent = `${(at + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")}`;
    for (const choice of choices) {
      if (choice.dataset.reading === "agree") choice.disabled = call === "error";
      else choice.setAttribute("aria-pressed", String(cell.reading === choice.dataset.reading));
    }
    subject.value = cell.subject;
    setDisabled("v-ask", call === "error");
    setDisabled("v-before", at === 0);
    setDisabled("v-next", at === order.length - 1);
    showPicture(find("v-picture"), open);
  }

  /** @param {string} said */
  function read(said) {
    const { cell } = order[at];
    const call = callCell(cell, readThreshold());
    if (said === "agree" && call === "error") return;
    const reading = /** @type {Reading} */ (said === "agree" ? call : said);
    cell.reading = cell.reading === reading && said !== "agree" ? null : reading; // pressed again: taken back
    onChange();
    show();
  }

  /** @param {number} step */
  function go(step) {
    if (order[at + step]) {
      at += step;
      why.close();
      show();
    }
  }

  for (const choice of choices) choice.addEventListener("click", () => read(choice.dataset.reading ?? ""));
  find("v-before").addEventListener("click", () => go(-1));
  find("v-next").addEventListener("click", () => go(1));
  find("v-ask").addEventListener("click", () => why.toggle(order[at]));
  find("v-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // the event comes late: opened again since
    why.close();
    onClose(order[at]);
  });
  subject.addEventListener("change", () => {
    order[at].cell.subject = subject.value.trim();
    onChange();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target === subject || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    const said = { a: "agree", l: "leukaemic", n: "normal", u: "unsure" }[event.key.toLowerCase()];
    if (step && event.target === find("v-strength")) return; // the slider's own keys
    if (step) go(step);
    else if (said) read(said);
    else if (event.key.toLowerCase() === "w") why.toggle(order[at]);
    else return;
    event.preventDefault();
  });

  return {
    /** @param {Card} card */
    open(card) {
      why.close();
      order = listShown();
      at = Math.max(0, order.indexOf(card));
      show();
      dialog.showModal();
    },
  };
}

/**
 * @param {string} id
 * @param {boolean} disabled
 */
function setDisabled(id, disabled) {
  const button = /** @type {HTMLButtonElement} */ (find(id));
  if (disabled && document.activeElement === button) find("v-close").focus(); // else the keys go nowhere
  button.disabled = disabled;
}
