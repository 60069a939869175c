/**
 * One cell, large, with the reader's own call; goes from cell to cell in the order shown.
 *
 * @typedef {import("./gallery.js").Card} Card
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {import("./deciding.js").Reading} Reading
 * @typedef {import("./explaining.js").Why} Why
 *
 * @typedef {object} Page   what the page gives
 * @property {() => Card[]} listShown
 * @property {() => number} readCoverage  share of new people's cells whose conformal set holds the truth
 * @property {() => void} onChange    a reading or a subject was given
 * @property {(card: Card) => void} onClose
 *
 * @typedef {Page & import("./explaining.js").Hooks} Hooks
 *
 * @typedef {object} Viewer
 * @property {Hooks} hooks
 * @property {Why} why
 * @property {Card[]} order  as it was when the viewer was opened: a reading must not move the cell away
 * @property {number} at
 * @property {boolean} blind  our answer, and what gives the truth away, stay hidden until the reader's call
 */

import { callCell, listWarnings, nameCell } from "./deciding.js";
import { build, field, find, findButton } from "./dom.js";
import { buildWhy, closeWhy, toggleWhy } from "./explaining.js";
import { formatCount, formatProbability, formatShare } from "./formatting.js";
import { showPicture } from "./gallery.js";
import { pick } from "./lists.js";
import { setSubject } from "./naming.js";

/**
 * @param {Hooks} hooks
 * @returns {Viewer}
 */
export function buildViewer(hooks) {
  /** @type {Viewer} */
  const viewer = { hooks, why: buildWhy(hooks), order: [], at: 0, blind: false };
  const dialog = findDialog();
  for (const choice of listChoices()) choice.addEventListener("click", () => read(viewer, choice.dataset.reading ?? ""));
  find("v-before").addEventListener("click", () => go(viewer, -1));
  find("v-next").addEventListener("click", () => go(viewer, 1));
  find("v-ask").addEventListener("click", () => toggleWhy(viewer.why, findCard(viewer)));
  find("v-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // the event comes late: opened again since
    closeWhy(viewer.why);
    hooks.onClose(findCard(viewer));
  });
  field("v-subject").addEventListener("change", () => {
    const { cell } = findCard(viewer);
    setSubject([cell], field("v-subject").value.trim());
    showSource(cell);
    hooks.onChange();
  });
  dialog.addEventListener("keydown", (event) => press(viewer, event));
  return viewer;
}

/**
 * @param {Viewer} viewer
 * @param {Card} card
 */
export function openViewer(viewer, card) {
  const order = viewer.hooks.listShown();
  begin(viewer, order, { at: Math.max(0, order.indexOf(card)), blind: false });
}

/**
 * The cells shown that the reader has not called, in random order, without our answers.
 * @param {Viewer} viewer
 */
export function startReading(viewer) {
  const unread = viewer.hooks.listShown().filter(({ cell }) => cell.reading === null && cell.probability !== null);
  const order = unread.map((card) => ({ card, rank: Math.random() })).sort((a, b) => a.rank - b.rank).map(({ card }) => card);
  if (order.length) begin(viewer, order, { at: 0, blind: true });
}

/**
 * @param {Viewer} viewer
 * @param {Card[]} order
 * @param {{at: number, blind: boolean}} place
 */
function begin(viewer, order, { at, blind }) {
  closeWhy(viewer.why);
  Object.assign(viewer, { order, at, blind });
  show(viewer);
  findDialog().showModal();
}

function findDialog() {
  return /** @type {HTMLDialogElement} */ (find("viewer"));
}

function listChoices() {
  return /** @type {HTMLButtonElement[]} */ ([...findDialog().querySelectorAll("[data-reading]")]);
}

/** @param {Viewer} viewer */
function findCard({ order, at }) {
  return pick(order, at);
}

/** @param {Viewer} viewer */
function isHidden(viewer) {
  return viewer.blind && findCard(viewer).cell.reading === null;
}

/** @param {Viewer} viewer */
function show(viewer) {
  const { at, order, hooks } = viewer;
  const { cell, open } = findCard(viewer);
  const hidden = isHidden(viewer), unanswered = cell.probability === null;
  findDialog().classList.toggle("blind", hidden);
  if (hidden) hideAnswer();
  else showAnswer(cell, hooks.readThreshold(), hooks.readCoverage());
  cell.seen ||= !hidden;
  find("v-place").textContent = `${formatCount(at + 1)} of ${formatCount(order.length)}`;
  for (const choice of listChoices()) {
    if (choice.dataset.reading === "agree") choice.disabled = unanswered || hidden;
    else choice.setAttribute("aria-pressed", String(cell.reading === choice.dataset.reading));
  }
  field("v-subject").value = cell.subject;
  showSource(cell);
  setDisabled("v-ask", unanswered || hidden);
  setDisabled("v-before", at === 0);
  setDisabled("v-next", at === order.length - 1);
  showPicture(find("v-picture"), open);
}

function hideAnswer() {
  find("v-name").textContent = "Leukaemic or normal?";
  find("v-call").className = "";
  find("v-call").textContent = "The model’s call is hidden until you enter yours.";
  for (const id of ["v-probability", "v-conformal", "v-twin", "v-warnings"]) find(id).replaceChildren();
}

/** @param {Cell} cell */
function showSource({ source }) {
  find("v-source").textContent = { "": "", name: "(by its name)", folder: "(by its folder)", hand: "(by hand)" }[source];
}

/**
 * @param {Cell} cell
 * @param {number} threshold
 * @param {number} coverage
 */
function showAnswer(cell, threshold, coverage) {
  const call = callCell(cell, threshold);
  find("v-name").textContent = nameCell(cell);
  find("v-call").className = `call ${call}`;
  find("v-call").textContent = call === "error" ? "no prediction" : call;
  find("v-probability").textContent = cell.probability === null
    ? ""
    : `probability of leukaemic ${formatProbability(cell.probability)}, threshold ${threshold.toFixed(3)}`;
  find("v-conformal").textContent = describeConformal(cell, coverage);
  find("v-twin").textContent = cell.twin ? `Same pixels as ${cell.twin}.` : "";
  find("v-warnings").replaceChildren(...listWarnings(cell).map((words) => build("li", "", words)));
}

/**
 * @param {Pick<Cell, "conformalCall" | "warnings" | "probability">} cell
 * @param {number} coverage
 */
export function describeConformal({ conformalCall, warnings, probability }, coverage) {
  const most = formatShare(coverage);
  if (probability === null) return "";
  if (warnings) return "Conformal call: uncertain, because of a warning.";
  if (conformalCall === "leukaemic") return `Conformal call: leukaemic. ${most} of new people’s normal cells look less leukaemic than this one.`;
  if (conformalCall === "normal") return `Conformal call: normal. ${most} of new people’s leukaemic cells look more leukaemic than this one.`;
  return "Conformal call: uncertain. It may be of either class.";
}

/**
 * @param {Viewer} viewer
 * @param {string} said
 */
function read(viewer, said) {
  const { cell } = findCard(viewer);
  const call = callCell(cell, viewer.hooks.readThreshold());
  const hidden = isHidden(viewer);
  if (said === "agree" && (call === "error" || hidden)) return;
  const reading = /** @type {Reading} */ (said === "agree" ? call : said);
  cell.reading = cell.reading === reading && said !== "agree" ? null : reading; // pressed again: taken back
  cell.mode = cell.reading === null ? "" : said === "agree" ? "agree" : hidden && !cell.seen ? "blind" : "unblinded";
  viewer.hooks.onChange();
  if (hidden && viewer.at + 1 < viewer.order.length) go(viewer, 1);
  else show(viewer);
}

/**
 * @param {Viewer} viewer
 * @param {number} step
 */
function go(viewer, step) {
  if (!viewer.order[viewer.at + step]) return;
  viewer.at += step;
  closeWhy(viewer.why);
  show(viewer);
}

/**
 * @param {Viewer} viewer
 * @param {KeyboardEvent} event
 */
function press(viewer, event) {
  if (event.target === find("v-subject") || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  const step = { arrowleft: -1, arrowright: 1 }[key];
  const said = { a: "agree", l: "leukaemic", n: "normal", u: "unsure" }[key];
  if (step && event.target === find("v-strength")) return; // the slider's own keys
  if (step) go(viewer, step);
  else if (said) read(viewer, said);
  else if (key === "w" && !isHidden(viewer)) toggleWhy(viewer.why, findCard(viewer));
  else return;
  event.preventDefault();
}

/**
 * @param {string} id
 * @param {boolean} disabled
 */
function setDisabled(id, disabled) {
  const button = findButton(id);
  if (disabled && document.activeElement === button) find("v-close").focus(); // else the keys go nowhere
  button.disabled = disabled;
}
