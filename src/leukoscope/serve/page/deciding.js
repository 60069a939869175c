/**
 * All that decides or computes on the page: calls, counts, subjects, agreement, tables.
 *
 * Nothing in here touches the document, a file or the network: cells come in, values go out. So the
 * page gives the same words whichever engine (engine.js) the probabilities came from. Every constant
 * is one of `Facts`; tests/test_golden.py holds the functions to Python's numbers.
 *
 * @typedef {"leukaemic" | "normal"} Label
 * @typedef {Label | "error"} Call
 * @typedef {Label | "unsure"} Reading  what a reader says of a cell
 * @typedef {"" | "blind" | "unblinded" | "agree"} Mode  how it was said: before the model's call was
 *   shown, after it, or by agreeing with it, which is no truth of its own
 * @typedef {import("./engine.js").Facts} Facts
 *
 * @typedef {object} Cell
 * @property {string} image        its name, of its own on the page
 * @property {string} cell         names the cell within the image; "" where the image is the cell
 * @property {string} subject      the name in the data, or ""
 * @property {string} model        name of the model file that predicted
 * @property {"" | "name" | "folder" | "hand"} source  where the subject is from
 * @property {string} folder       the folder that may name the subject, or ""
 * @property {number | null} probability  of leukaemic; null where the image could not be read
 * @property {Call | "uncertain"} conformalCall  the class left when the other is ruled out, whatever the threshold
 * @property {string} warnings     what speaks against trusting the answer, or the error
 * @property {Reading | null} reading     the reader's own call, beside ours
 * @property {Mode} mode           of the reading
 * @property {boolean} seen        whether our call was shown large
 * @property {string} crop         equal for equal pixels, or ""
 * @property {string} twin         name of another cell with equal pixels, or ""
 * @property {boolean} simulated   whether our simulator drew it
 *
 * @typedef {object} Subject
 * @property {string} name
 * @property {number} cells        with a prediction
 * @property {number} leukaemic    of them called leukaemic
 * @property {number} share
 * @property {[number, number]} interval  Wilson's
 * @property {number | null} probability  from the mean logit of its cells; null without a line
 * @property {Label | "no call" | "too few cells" | "too many warnings"} call
 * @property {boolean} certain     whether a class is called, and its probability is high
 *
 * @typedef {object} Agreement
 * @property {number} cells        that the reader called leukaemic or normal
 * @property {number} agreed       of them called the same by us
 * @property {number} unsure       that the reader was unsure of
 * @property {number | null} kappa Cohen's; null where it is not defined
 *
 * @typedef {object} Filter
 * @property {"" | Call} call
 * @property {"" | "certain" | "uncertain"} certainty  of the conformal call
 * @property {"" | "none" | "any" | string} warning   "" all, "none" without, "any" with, else its name
 * @property {"" | "unread" | "read" | "differ"} reading
 * @property {string} subject      "" all, "none" without, else "=" and its name
 *
 * @typedef {{cells: number, leukaemic: number, warned: number, logits: number}} Sums  of a subject's cells
 */

import { writeCsv } from "./table.js";

/** Longer names fit no pattern, as in Python (`NAME_LENGTH` of datasets/spec.py). */
const NAME_LENGTH = 100;

const ORDER = new Intl.Collator("en", { numeric: true });

/**
 * @param {Cell} cell
 * @param {number} threshold
 * @returns {Call}
 */
export function callCell(cell, threshold) {
  if (cell.probability === null) return "error";
  return cell.probability >= threshold ? "leukaemic" : "normal";
}

/**
 * How many cells get each call.
 * @param {Iterable<Cell>} cells
 * @param {number} threshold
 */
export function countCalls(cells, threshold) {
  const counts = { leukaemic: 0, normal: 0, error: 0 };
  for (const cell of cells) counts[callCell(cell, threshold)] += 1;
  return counts;
}

/**
 * How many cells fall into each of so many equal bins of probability.
 * @param {Iterable<Cell>} cells
 * @param {number} bins
 */
export function countBins(cells, bins) {
  /** @type {number[]} */
  const counts = new Array(bins).fill(0);
  for (const { probability } of cells) {
    if (probability === null) continue;
    const bin = Math.min(Math.floor(probability * bins), bins - 1);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts;
}

/**
 * Wilson's interval of a share (1927). It takes the cells as independent.
 * @param {number} found
 * @param {number} n
 * @param {number} z  normal quantile of its confidence
 * @returns {[number, number]} 0 and 1 of nothing
 */
export function computeWilson(found, n, z) {
  if (n === 0) return [0, 1];
  const share = found / n;
  const centre = share + (z * z) / (2 * n);
  const half = z * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n));
  const whole = 1 + (z * z) / n;
  return [Math.max(0, (centre - half) / whole), Math.min(1, (centre + half) / whole)];
}

/**
 * The share of leukaemic cells by subject, names in natural order; cells without one are left out.
 * A subject is called by the line that the model brings along, as `leukoscope aggregate` does.
 * @param {Iterable<Cell>} cells
 * @param {number} threshold
 * @param {Facts} facts
 * @returns {Subject[]}
 */
export function aggregateSubjects(cells, threshold, facts) {
  return [...sumBySubject(cells, threshold, facts.probability_floor)]
    .sort(([a], [b]) => ORDER.compare(a, b))
    .map(([name, sums]) => ({
      name,
      cells: sums.cells,
      leukaemic: sums.leukaemic,
      share: sums.leukaemic / sums.cells,
      interval: computeWilson(sums.leukaemic, sums.cells, facts.wilson_z),
      ...callSubject(sums, facts),
    }))
    .map((subject) => ({ ...subject, certain: isCertain(subject, facts) }));
}

/**
 * @param {Pick<Subject, "probability" | "call">} subject
 * @param {Facts} facts
 */
function isCertain({ probability, call }, { certain_from: from }) {
  if (probability === null || (call !== "leukaemic" && call !== "normal")) return false;
  return probability >= from || probability <= 1 - from;
}

/**
 * @param {Iterable<Cell>} cells
 * @param {number} threshold
 * @param {number} floor
 */
function sumBySubject(cells, threshold, floor) {
  /** @type {Map<string, Sums>} */
  const found = new Map();
  for (const cell of cells) {
    if (!cell.subject || cell.probability === null) continue;
    const sums = found.get(cell.subject) ?? { cells: 0, leukaemic: 0, warned: 0, logits: 0 };
    const inside = Math.min(Math.max(cell.probability, floor), 1 - floor);
    sums.cells += 1;
    sums.leukaemic += callCell(cell, threshold) === "leukaemic" ? 1 : 0;
    sums.warned += cell.warnings ? 1 : 0;
    sums.logits += Math.log(inside / (1 - inside));
    found.set(cell.subject, sums);
  }
  return found;
}

/**
 * @param {Sums} sums
 * @param {Facts} facts
 * @returns {Pick<Subject, "probability" | "call">}
 */
function callSubject({ cells, leukaemic, warned, logits }, { subject_line: line, ...facts }) {
  const probability = line && 1 / (1 + Math.exp(-(line.slope * (logits / cells) + line.intercept)));
  if (cells < facts.min_cells) return { probability, call: "too few cells" };
  if (warned > facts.most_warned * cells) return { probability, call: "too many warnings" };
  if (probability === null) return { probability, call: "no call" };
  const call = probability >= facts.called_from ? "leukaemic" : "normal";
  if (leukaemic === (call === "leukaemic" ? 0 : cells)) return { probability, call: "no call" }; // not one cell is for it
  return { probability, call };
}

/**
 * How the reader's calls and ours agree, over the cells that the reader called.
 * @param {Iterable<Cell>} cells
 * @param {number} threshold
 * @returns {Agreement}
 */
export function computeAgreement(cells, threshold) {
  let n = 0, agreed = 0, unsure = 0, ours = 0, theirs = 0;
  for (const cell of cells) {
    if (cell.reading === "unsure") unsure += 1;
    const call = callCell(cell, threshold);
    if (cell.reading === null || cell.reading === "unsure" || call === "error") continue;
    n += 1;
    agreed += call === cell.reading ? 1 : 0;
    ours += call === "leukaemic" ? 1 : 0;
    theirs += cell.reading === "leukaemic" ? 1 : 0;
  }
  const chance = n ? (ours * theirs + (n - ours) * (n - theirs)) / (n * n) : 1;
  const kappa = chance < 1 ? (agreed / n - chance) / (1 - chance) : null;
  return { cells: n, agreed, unsure, kappa };
}

/**
 * Whether a cell is to be shown.
 * @param {Cell} cell
 * @param {number} threshold
 * @param {Filter} filter
 */
export function passesFilter(cell, threshold, { call, certainty, warning, reading, subject }) {
  const ours = callCell(cell, threshold);
  if (call && ours !== call) return false;
  if (certainty === "certain" && (cell.conformalCall === "uncertain" || ours === "error")) return false;
  if (certainty === "uncertain" && cell.conformalCall !== "uncertain") return false;
  if (!passesWarning(cell, warning)) return false;
  if (subject === "none" ? cell.subject : subject && cell.subject !== subject.slice(1)) return false;
  if (reading === "unread") return cell.reading === null;
  if (reading === "read") return cell.reading !== null;
  if (reading === "differ") return isOverridden(cell, threshold);
  return true;
}

/**
 * @param {Cell} cell
 * @param {string} warning
 */
function passesWarning(cell, warning) {
  if (warning === "") return true;
  if (warning === "none") return !cell.warnings;
  if (warning === "any") return Boolean(cell.warnings);
  return listWarnings(cell).map(nameWarning).includes(warning);
}

/**
 * Whether the reader calls a cell otherwise than we do.
 * @param {Cell} cell
 * @param {number} threshold
 */
export function isOverridden(cell, threshold) {
  return (cell.reading === "leukaemic" || cell.reading === "normal") && cell.reading !== callCell(cell, threshold);
}

/**
 * A cell's warnings one by one.
 * @param {Cell} cell
 */
export function listWarnings(cell) {
  return cell.warnings ? cell.warnings.split("; ") : [];
}

/**
 * A warning without its number.
 * @param {string} words
 */
export function nameWarning(words) {
  return words.replace(/ \(.*\)$/, "");
}

/**
 * Image and cell in words, as `name_cell` of cells/extract.py.
 * @param {Pick<Cell, "image" | "cell">} cell
 */
export function nameCell({ image, cell }) {
  return cell ? `${image}, cell ${cell}` : image;
}

/**
 * @param {Cell} a
 * @param {Cell} b
 */
function compareNames(a, b) {
  return ORDER.compare(a.image, b.image) || ORDER.compare(a.cell, b.cell);
}

/**
 * Negative where `a` stands before `b`: by probability, the likeliest first, unread images last.
 * @param {Cell} a
 * @param {Cell} b
 */
export function compareCells(a, b) {
  return (b.probability ?? -1) - (a.probability ?? -1) || compareNames(a, b);
}

/** @param {Iterable<Cell>} cells */
function sortByName(cells) {
  return [...cells].sort(compareNames);
}

/**
 * Every cell with our call as `leukoscope predict` writes it, then the reader's, as CSV.
 * @param {Iterable<Cell>} cells
 * @param {number} threshold
 */
export function writeAnswers(cells, threshold) {
  const columns = ["image", "cell", "probability", "call", "conformal_call", "warnings", "threshold", "subject", "model", "reader", "reader_mode", "simulated"];
  return writeCsv(columns, sortByName(cells).map((cell) => [
    cell.image, cell.cell, cell.probability, callCell(cell, threshold), cell.conformalCall, cell.warnings, threshold,
    cell.subject, cell.model, cell.reading, cell.mode, cell.simulated ? "yes" : "no",
  ]));
}

/**
 * The cells that the reader called, but for those called by agreeing with us, as `leukoscope evaluate` takes them. The thresholds are the
 * model's own: one set by hand after looking at these cells would flatter the scores.
 * @param {Iterable<Cell>} cells
 * @param {{threshold: number, sensitive_threshold: number}} model
 */
export function writeLabels(cells, model) {
  const columns = ["image", "cell", "subject", "label", "probability", "threshold", "sensitive_threshold", "reader_mode"];
  return writeCsv(columns, listLabelled(cells).map((cell) => [
    cell.image, cell.cell, cell.subject, cell.reading, cell.probability, model.threshold, model.sensitive_threshold, cell.mode,
  ]));
}

/**
 * The cells that `writeLabels` writes.
 * @param {Iterable<Cell>} cells
 */
export function listLabelled(cells) {
  return sortByName([...cells].filter(
    ({ reading, mode, probability, subject }) => probability !== null && subject !== "" && mode !== "agree"
      && (reading === "leukaemic" || reading === "normal"),
  ));
}
