/**
 * What stands beside the cells: histogram, counts, subjects, agreement, facts of the report.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {import("./deciding.js").Subject} Subject
 * @typedef {import("./engine.js").Facts} Facts
 * @typedef {import("./engine.js").Model} Model
 */

import { computeAgreement, countBins, countCalls, aggregateSubjects } from "./deciding.js";
import { build, buildSvg, find } from "./dom.js";
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
 * @param {Cell[]} cells
 * @param {number} threshold
 * @param {Facts} facts
 */
export function showSubjects(cells, threshold, facts) {
  const subjects = aggregateSubjects(cells, threshold, facts);
  if (!subjects.length) {
    find("subjects").replaceChildren(build("p", "none", "No subject is known: the file names do not contain it, and none was entered."));
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
function buildSubject({ name, cells, leukaemic, share, interval, probability, call }) {
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
    build("td", call === "leukaemic" || call === "normal" ? `call ${call}` : "few", call),
  );
  return row;
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
 * @param {Cell[]} cells
 * @param {number} threshold
 */
export function showAgreement(cells, threshold) {
  const { cells: n, agreed, unsure, kappa } = computeAgreement(cells, threshold);
  const doubt = unsure ? ` You were unsure of ${formatCount(unsure)}.` : "";
  const chance = kappa === null ? "Cohen’s kappa is not defined yet" : `Cohen’s kappa ${kappa.toFixed(2)}`;
  find("agreement").textContent = n
    ? `You and the model agree on ${formatCount(agreed)} of ${formatCounted(n, "cell")} (${formatShare(agreed / n)}); ${chance}.${doubt}`
    : `Enter your own call for some cells to see the agreement with the model.${doubt}`;
}

/**
 * What the printed report says above its tables.
 * @param {Cell[]} cells
 * @param {number} threshold
 * @param {Model} model
 */
export function showReport(cells, threshold, model) {
  const { metadata, facts } = model;
  const found = {
    Report: new Date().toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" }),
    Model: `leukoscope ${model.version}, recipe ${metadata.recipe || "unknown"}, trained on ${facts.dataset}, data fingerprint ${metadata.fingerprint || "unknown"}`,
    Threshold: `${threshold.toFixed(3)} (the model’s own: ${model.threshold.toFixed(3)}; meant to find ${formatShare(facts.sensitivity)}: ${model.sensitive_threshold.toFixed(3)})`,
    Cells: formatCount(cells.length),
  };
  const list = build("dl");
  for (const [name, words] of Object.entries(found)) list.append(build("dt", "", name), build("dd", "", words));
  find("report-facts").replaceChildren(list);
}
