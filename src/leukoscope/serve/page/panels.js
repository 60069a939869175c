/**
 * What stands beside the cells: histogram, counts, subjects, agreement, facts of the report.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {import("./deciding.js").Subject} Subject
 * @typedef {import("./engine.js").Facts} Facts
 * @typedef {import("./engine.js").Model} Model
 */

import { aggregateSubjects, computeAgreement, countBins, countCalls, listLabelled } from "./deciding.js";
import { build, buildSvg, find, findButton } from "./dom.js";
import { formatCount, formatCounted, formatProbability, formatShare } from "./formatting.js";

const BINS = 40;

/**
 * @param {Cell[]} cells
 * @param {number} threshold
 */
export function showCounts(cells, threshold) {
  const counts = countCalls(cells, threshold);
  for (const [call, n] of Object.entries(counts)) find(`n-${call}`).textContent = formatCount(n);
  const uncertain = cells.filter(({ conformalCall }) => conformalCall === "uncertain").length;
  find("uncertain").textContent = `Conformal call uncertain: ${formatCount(uncertain)}, at any threshold.`;
  find("n-error").parentElement?.toggleAttribute("hidden", counts.error === 0);
  const bins = countBins(cells, BINS);
  const highest = Math.max(1, ...bins);
  const width = 400 / BINS;
  find("bins").replaceChildren(...bins.map((n, bin) => buildSvg("rect", {
    x: bin * width + 0.5, width: width - 1, y: 60 - (58 * n) / highest, height: (58 * n) / highest,
    class: (bin + 0.5) / BINS >= threshold ? "over" : "under",
  })));
}

/**
 * What the server did not predict: counts without it are incomplete.
 * @param {number} left  images
 * @param {string} reason
 * @param {Cell[]} cells
 */
export function showLeft(left, reason, cells) {
  const all = new Set(cells.map(({ image }) => image)).size + left;
  const words = left ? `${formatCount(left)} of ${formatCounted(all, "image")} not predicted` : "";
  find("left").hidden = !left;
  find("left-words").textContent = `${words}. ${reason} Counts, subjects and exports are incomplete.`;
  find("incomplete").hidden = !left;
  find("incomplete").textContent = `Incomplete: ${words}.`;
}

/**
 * What is to be said of images without a prediction: what they are, and what to do.
 * @param {Cell[]} cells
 * @param {Facts} facts
 */
export function describeFailed(cells, facts) {
  const failed = cells.filter(({ probability }) => probability === null);
  const strange = failed.filter(({ crop }) => crop), unread = failed.filter(({ crop }) => !crop);
  const words = [];
  if (strange[0]) {
    words.push(`${formatCounted(strange.length, "image is", "images are")} nothing like a cell of the training data, such as ${strange[0].image}: a photograph, or a field with many cells? ${facts.images} Cut out single cells, and drop these.`);
  }
  if (unread[0]) words.push(`${formatCounted(unread.length, "file")} could not be read, such as ${unread[0].image}: ${unread[0].warnings}`);
  return words;
}

/**
 * @param {Cell[]} cells
 * @param {number} threshold
 * @param {Facts} facts
 * @param {boolean} incomplete  some images are not predicted
 */
export function showSubjects(cells, threshold, facts, incomplete) {
  const subjects = aggregateSubjects(cells, threshold, facts);
  find("n-subjects").textContent = subjects.length ? `${formatCount(subjects.length)}${incomplete ? ", incomplete" : ""}` : "";
  if (!subjects.length) {
    find("subjects").replaceChildren(build("p", "none", "No subject is known: neither file names nor folders give one, and none was entered."));
    return;
  }
  const table = build("table"), head = build("thead"), body = build("tbody");
  head.append(buildTitles(`${formatShare(facts.confidence)} interval`));
  body.append(...subjects.map(buildSubject));
  table.append(head, body);
  find("subjects").replaceChildren(table);
}

/** @param {string} interval */
function buildTitles(interval) {
  const titles = build("tr");
  for (const title of ["Subject", "Cells", "Leukaemic", "Share", interval, "", "Probability", "Call"]) {
    const cell = title ? build("th", "", title) : build("td");
    if (cell instanceof HTMLTableCellElement && title) cell.scope = "col";
    if (["Leukaemic", interval, ""].includes(title)) cell.className = "wide-only"; // no room on a telephone
    titles.append(cell);
  }
  return titles;
}

/** @param {Subject} subject */
function buildSubject({ name, cells, leukaemic, share, interval, probability, call, certain }) {
  const row = build("tr"), title = build("th", "", name), drawn = build("td", "share wide-only");
  title.scope = "row";
  drawn.append(drawShare(share, interval));
  row.append(
    title,
    build("td", "", formatCount(cells)),
    build("td", "wide-only", formatCount(leukaemic)),
    build("td", "", formatShare(share)),
    build("td", "wide-only", `${Math.round(100 * interval[0])} to ${formatShare(interval[1])}`),
    drawn,
    build("td", "", formatProbability(probability)),
    buildCall(call, certain),
  );
  return row;
}

/**
 * @param {Subject["call"]} call
 * @param {boolean} certain
 */
function buildCall(call, certain) {
  if (call !== "leukaemic" && call !== "normal") return build("td", "few", call);
  if (certain) return build("td", `call ${call}`, call);
  const cell = build("td", "call uncertain", "uncertain");
  cell.append(build("span", "soft", `, rather ${call}`));
  return cell;
}

/**
 * @param {number} share
 * @param {[number, number]} interval
 */
function drawShare(share, [low, high]) {
  const svg = buildSvg("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.append(
    buildSvg("line", { class: "half", x1: 50, x2: 50, y1: 0, y2: 12, "vector-effect": "non-scaling-stroke" }),
    buildSvg("line", { class: "range", x1: 100 * low, x2: 100 * high, y1: 6, y2: 6, "vector-effect": "non-scaling-stroke" }),
    buildSvg("rect", { class: "dot", x: 100 * share - 0.7, width: 1.4, y: 1.5, height: 9 }),
  );
  return svg;
}

/**
 * Agreement, calls entered before and after the model's call was shown apart. Agreeing by the button is none.
 * @param {Cell[]} cells
 * @param {number} threshold
 */
export function showAgreement(cells, threshold) {
  /** @param {Cell["mode"]} mode */
  const compute = (mode) => computeAgreement(cells.filter((cell) => cell.mode === mode), threshold);
  const blind = compute("blind"), open = compute("unblinded");
  const agreed = cells.filter(({ mode }) => mode === "agree").length;
  const unsure = blind.unsure + open.unsure;
  const words = [];
  if (blind.cells) {
    const kappa = blind.kappa === null ? "Cohen’s kappa is not defined yet" : `Cohen’s kappa ${blind.kappa.toFixed(2)}`;
    words.push(`Called before the model’s call was shown: you agree on ${describeShare(blind)}; ${kappa}.`);
  }
  if (open.cells) words.push(`Called after it was shown: you agree on ${describeShare(open)}; no kappa, as you knew its call.`);
  if (agreed) words.push(`By Agree: ${formatCounted(agreed, "cell")}, not counted.`);
  if (unsure) words.push(`You were unsure of ${formatCount(unsure)}.`);
  find("agreement").textContent = words.join(" ") || "Call some cells yourself to see the agreement with the model.";
}

/** @param {import("./deciding.js").Agreement} agreement */
function describeShare({ cells, agreed }) {
  return `${formatCount(agreed)} of ${formatCounted(cells, "cell")} (${formatShare(agreed / cells)})`;
}

/**
 * Which of the reader's calls can be exported as labels.
 * @param {Cell[]} cells
 */
export function showLabelled(cells) {
  const labelled = listLabelled(cells).length, read = cells.filter(({ reading }) => reading !== null).length;
  findButton("save-labels").disabled = labelled === 0;
  find("labels-note").textContent = read
    ? `Your calls as labels for leukoscope evaluate: ${formatCount(labelled)} of ${formatCount(read)}.${labelled < read ? " Left out are cells without a subject, and calls that are unsure or by Agree." : ""}`
    : "";
}

/**
 * What the printed report says above its tables.
 * @param {Cell[]} cells
 * @param {number} threshold
 * @param {Model} model
 * @param {number} left  images that are not predicted
 */
export function showReport(cells, threshold, model, left) {
  const { metadata, facts } = model;
  const found = {
    Report: new Date().toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" }),
    Model: `leukoscope ${model.version}, recipe ${metadata.recipe || "unknown"}, trained on ${facts.dataset}, data fingerprint ${metadata.fingerprint || "unknown"}`,
    Threshold: `${threshold.toFixed(3)} (the model’s own: ${model.threshold.toFixed(3)}; meant to find ${formatShare(facts.sensitivity)}: ${model.sensitive_threshold.toFixed(3)})`,
    Cells: formatCount(cells.length),
    ...(left ? { Incomplete: `${formatCounted(left, "image")} not predicted by the server` } : {}),
  };
  const list = build("dl");
  for (const [name, words] of Object.entries(found)) list.append(build("dt", "", name), build("dd", "", words));
  find("report-facts").replaceChildren(list);
}
