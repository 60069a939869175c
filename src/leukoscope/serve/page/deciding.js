/**
 * All that decides or computes on the page: calls, counts, subjects, agreement, tables.
 *
 * Nothing in here touches the document, a file or the network: cells come in, values go out. So the
 * page gives the same words whichever engine (engine.js) the probabilities came from.
 *
 * @typedef {"leukaemic" | "normal"} Label
 * @typedef {Label | "error"} Call
 * @typedef {Label | "unsure"} Reading  what a reader says of a cell
 *
 * @typedef {object} Cell
 * @property {string} image        its name, once on the page
 * @property {string} subject      the person's name, or ""
 * @property {number | null} probability  of leukaemic; null where the image could not be read
 * @property {Call | "uncertain"} conformalCall  the class left when the other is ruled out, whatever the threshold
 * @property {string} warnings     what speaks against trusting the answer, or the error
 * @property {Reading | null} reading     the reader's own call, beside ours
 * @property {boolean} simulated   whether our simulator drew it
 *
 * @typedef {object} Subject
 * @property {string} name
 * @property {number} cells        answered for
 * @property {number} leukaemic    of them called leukaemic
 * @property {number} share
 * @property {[number, number]} interval  Wilson, 95%
 * @property {number | null} probability  from the mean logit of its cells; null without a line
 * @property {Label | "no call" | "too few cells" | "too many warnings"} call
 *
 * @typedef {object} Line
 * @property {number} slope       of the mean logit
 * @property {number} intercept
 *
 * @typedef {object} Agreement
 * @property {number} cells        that the reader called leukaemic or normal
 * @property {number} agreed       of them called the same by us
 * @property {number} unsure       that the reader was unsure of
 * @property {number | null} kappa Cohen's; null where it is not defined
 *
 * @typedef {object} Filter
 * @property {"" | Call} call
 * @property {"" | "sure" | "uncertain"} certainty
 * @property {"" | "none" | "any" | string} warning   "" all, "none" without, "any" with, else its name
 * @property {"" | "unread" | "read" | "differ"} reading
 */

/** Cells from which a subject may be called. */
export const LEAST_CELLS = 20;

const FLOOR = 1e-6; // of a probability, so that its logit is finite

const ORDER = new Intl.Collator("en", { numeric: true });
const NAME = /^UID_([A-Za-z0-9-]+)_\d+_\d+_(?:all|hem)$/i;

/**
 * The subject in a C-NMC file name, `UID_<subject>_<smear>_<cell>_<all|hem>`, or "".
 * @param {string} image
 */
export function parseSubject(image) {
  const name = image.replaceAll("\\", "/").split("/").at(-1) ?? "";
  return NAME.exec(name.split(".")[0] ?? "")?.[1] ?? "";
}

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
  const counts = new Array(bins).fill(0);
  for (const { probability } of cells) {
    if (probability !== null) counts[Math.min(Math.floor(probability * bins), bins - 1)] += 1;
  }
  return /** @type {number[]} */ (counts);
}

/**
 * Wilson's 95% interval of a share. It takes the cells as independent.
 * @param {number} found
 * @param {number} n at least 1
 * @returns {[number, number]}
 */
export function computeWilson(found, n) {
  const z = 1.959963984540054;
  const share = found / n;
  const centre = share + (z * z) / (2 * n);
  const half = z * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n));
  const whole = 1 + (z * z) / n;
  return [Math.max(0, (centre - half) / whole), Math.min(1, (centre + half) / whole)];
}

/**
 * The share of leukaemic cells by subject, names in natural order; cells without one are left out.
 * A subject is called by the line that the model brings along, as `leukoscope summarise` does.
 * @param {Iterable<Cell>} cells
 * @param {number} threshold
 * @param {Line | null} line
 * @returns {Subject[]}
 */
export function summariseSubjects(cells, threshold, line) {
  /** @type {Map<string, [number, number, number, number]>} */
  const counts = new Map();
  for (const cell of cells) {
    const call = callCell(cell, threshold);
    if (!cell.subject || call === "error") continue;
    const [n, found, sum, warned] = counts.get(cell.subject) ?? [0, 0, 0, 0];
    const inside = Math.min(Math.max(cell.probability ?? 0, FLOOR), 1 - FLOOR);
    counts.set(cell.subject, [
      n + 1, found + (call === "leukaemic" ? 1 : 0), sum + Math.log(inside / (1 - inside)), warned + (cell.warnings ? 1 : 0),
    ]);
  }
  return [...counts]
    .sort(([a], [b]) => ORDER.compare(a, b))
    .map(([name, [n, found, sum, warned]]) => {
      const probability = line && 1 / (1 + Math.exp(-(line.slope * (sum / n) + line.intercept)));
      return {
        name, cells: n, leukaemic: found, share: found / n, interval: computeWilson(found, n),
        probability, call: callSubject(n, warned, probability),
      };
    });
}

/**
 * @param {number} cells
 * @param {number} warned
 * @param {number | null} probability
 * @returns {Subject["call"]}
 */
function callSubject(cells, warned, probability) {
  if (cells < LEAST_CELLS) return "too few cells";
  if (warned > cells / 2) return "too many warnings";
  if (probability === null) return "no call";
  return probability >= 0.5 ? "leukaemic" : "normal";
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
export function passesFilter(cell, threshold, { call, certainty, warning, reading }) {
  const ours = callCell(cell, threshold);
  if (call && ours !== call) return false;
  if (certainty === "sure" && (cell.conformalCall === "uncertain" || ours === "error")) return false;
  if (certainty === "uncertain" && cell.conformalCall !== "uncertain") return false;
  if (warning === "none" && cell.warnings) return false;
  if (warning === "any" && !cell.warnings) return false;
  if (warning && warning !== "none" && warning !== "any" && !listWarnings(cell).map(nameWarning).includes(warning)) return false;
  if (reading === "unread") return cell.reading === null;
  if (reading === "read") return cell.reading !== null;
  if (reading === "differ") return isOverruled(cell, threshold);
  return true;
}

/**
 * Whether the reader calls a cell otherwise than we do.
 * @param {Cell} cell
 * @param {number} threshold
 */
export function isOverruled(cell, threshold) {
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
 * Negative where `a` stands before `b`: by probability, the likeliest first, unread images last.
 * @param {Cell} a
 * @param {Cell} b
 */
export function compareCells(a, b) {
  return (b.probability ?? -1) - (a.probability ?? -1) || ORDER.compare(a.image, b.image);
}

/** @param {Iterable<Cell>} cells */
function sortByName(cells) {
  return [...cells].sort((a, b) => ORDER.compare(a.image, b.image));
}

/**
 * Every cell with our call and the reader's, as CSV.
 * @param {Iterable<Cell>} cells
 * @param {number} threshold
 */
export function writeAnswers(cells, threshold) {
  const columns = ["image", "subject", "probability", "call", "conformal_call", "threshold", "reader", "warnings", "simulated"];
  return writeCsv(columns, sortByName(cells).map((cell) => [
    cell.image, cell.subject, cell.probability, callCell(cell, threshold), cell.conformalCall, threshold, cell.reading,
    cell.warnings, cell.simulated ? "yes" : "no",
  ]));
}

/**
 * The cells that the reader called, as `leukoscope evaluate` takes them. The thresholds are the
 * model's own: one set by hand after looking at these cells would flatter the scores.
 * @param {Iterable<Cell>} cells
 * @param {{threshold: number, sensitive_threshold: number}} model
 */
export function writeLabels(cells, model) {
  const columns = ["image", "subject", "label", "probability", "threshold", "sensitive_threshold"];
  return writeCsv(columns, listLabelled(cells).map((cell) => [
    cell.image, cell.subject, cell.reading, cell.probability, model.threshold, model.sensitive_threshold,
  ]));
}

/**
 * The cells that `writeLabels` writes.
 * @param {Iterable<Cell>} cells
 */
export function listLabelled(cells) {
  return sortByName(cells).filter(
    ({ reading, probability, subject }) => probability !== null && subject !== "" && (reading === "leukaemic" || reading === "normal"),
  );
}

/**
 * @param {string[]} columns
 * @param {(string | number | null)[][]} rows
 */
function writeCsv(columns, rows) {
  /** @param {string | number | null} value */
  const quote = (value) => {
    const text = String(value ?? "");
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => `${row.map(quote).join(",")}\n`).join("");
}
