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
  leukaemic: "Sure: 9 in 10 normal cells of new people look less leukaemic than this one.",
  normal: "Sure: 9 in 10 leukaemic cells of new people look more leukaemic than this one.",
  uncertain: "Uncertain: it may be of either class.",
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
  let blind = false; // our answer, and what gives the truth away, stay hidden until the reader's call

  const isHidden = () => blind && order[at].cell.reading === null;

  function show() {
    const { cell, open } = order[at];
    const call = callCell(cell, readThreshold());
    const hidden = isHidden();
    dialog.classList.toggle("blind", hidden);
    find("v-name").textContent = hidden ? "What is it?" : cell.image;
    find("v-call").className = hidden ? "" : `call ${call}`;
    find("v-call").textContent = hidden ? "Our answer is hidden until you call." : call === "error" ? "no answer" : call;
    find("v-probability").textContent = cell.probability === null || hidden ? "" : `probability of leukaemic ${formatProbability(cell.probability)}, threshold ${readThreshold().toFixed(3)}`;
    find("v-sure").textContent = hidden ? "" : cell.warnings && call !== "error" ? "Uncertain, as something warns:" : SURE[cell.conformalCall];
    find("v-warnings").replaceChildren(...(hidden ? [] : listWarnings(cell)).map((words) => build("li", "", words)));
    find("v-place").textContent = `${(at + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")}`;
    for (const choice of choices) {
      if (choice.dataset.reading === "agree") choice.disabled = call === "error" || hidden;
      else choice.setAttribute("aria-pressed", String(cell.reading === choice.dataset.reading));
    }
    subject.value = cell.subject;
    setDisabled("v-ask", call === "error" || hidden);
    setDisabled("v-before", at === 0);
    setDisabled("v-next", at === order.length - 1);
    showPicture(find("v-picture"), open);
  }

  /** @param {string} said */
  function read(said) {
    const { cell } = order[at];
    const call = callCell(cell, readThreshold());
    if (said === "agree" && (call === "error" || isHidden())) return;
    const next = isHidden() && at + 1 < order.length;
    const reading = /** @type {Reading} */ (said === "agree" ? call : said);
    cell.reading = cell.reading === reading && said !== "agree" ? null : reading; // pressed again: taken back
    onChange();
    if (next) go(1);
    else show();
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
    else if (event.key.toLowerCase() === "w" && !isHidden()) why.toggle(order[at]);
    else return;
    event.preventDefault();
  });

  return {
    /** @param {Card} card */
    open(card) {
      why.close();
      blind = false;
      order = listShown();
      at = Math.max(0, order.indexOf(card));
      show();
      dialog.showModal();
    },
    /** The cells shown that the reader has not called, in random order, without our answers. */
    startReading() {
      const unread = listShown().filter(({ cell }) => cell.reading === null && cell.probability !== null);
      if (!unread.length) return;
      why.close();
      blind = true;
      order = unread.map((card) => ({ card, rank: Math.random() })).sort((a, b) => a.rank - b.rank).map(({ card }) => card);
      at = 0;
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
