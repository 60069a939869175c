/**
 * What stands beside the cells: histogram, counts, subjects, agreement, facts of the report.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {import("./engine.js").Model} Model
 */

import { computeAgreement, countBins, countCalls, summariseSubjects } from "./deciding.js";
import { build, formatProbability } from "./gallery.js";

const BINS = 40;
const SVG = "http://www.w3.org/2000/svg";

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {number} n */
const formatCount = (n) => n.toLocaleString("en");

/** @param {number} share */
const formatShare = (share) => `${Math.round(100 * share)}%`;

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
function buildSvg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * @param {Cell[]} cells
 * @param {number} threshold
 */
export function showCounts(cells, threshold) {
  const counts = countCalls(cells, threshold);
  for (const [call, n] of Object.entries(counts)) find(`n-${call}`).textContent = formatCount(n);
  const uncertain = cells.filter(({ conformalCall }) => conformalCall === "uncertain").length;
  find("sureness").textContent = `Uncertain of ${formatCount(uncertain)}, whatever the threshold.`;
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
 * @param {import("./deciding.js").Line | null} line
 */
export function showSubjects(cells, threshold, line) {
  const subjects = summariseSubjects(cells, threshold, line);
  const place = find("subjects");
  if (!subjects.length) {
    place.replaceChildren(build("p", "none", "No subject is known: the file names do not say it, and none was typed in."));
  } else {
    const table = build("table"), head = build("thead"), body = build("tbody"), titles = build("tr");
    for (const title of ["Subject", "Cells", "Leukaemic", "Share", "95% interval", "Probability", "Call"]) {
      const cell = build("th", "", title);
      cell.scope = "col";
      if (title === "Leukaemic" || title === "95% interval") cell.className = "wide-only"; // for a telephone
      titles.append(cell);
    }
    titles.children[4].after(build("td", "wide-only"));
    head.append(titles);
    for (const { name, cells: n, leukaemic, share, interval, probability, call } of subjects) {
      const row = build("tr"), title = build("th", "", name), drawn = build("td", "share wide-only");
      title.scope = "row";
      drawn.append(drawShare(share, interval));
      row.append(
        title, build("td", "", formatCount(n)), build("td", "wide-only", formatCount(leukaemic)), build("td", "", formatShare(share)),
        build("td", "wide-only", `${Math.round(100 * interval[0])} to ${formatShare(interval[1])}`), drawn,
        build("td", "", formatProbability(probability)),
        build("td", call === "leukaemic" || call === "normal" ? `call ${call}` : "few", call),
      );
      body.append(row);
    }
    table.append(head, body);
    place.replaceChildren(table);
  }
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
  const doubt = unsure ? ` Unsure of ${formatCount(unsure)}.` : "";
  const chance = kappa === null ? "Cohen’s kappa is not defined yet" : `Cohen’s kappa ${kappa.toFixed(2)}`;
  find("agreement").textContent = n
    ? `Agree on ${formatCount(agreed)} of ${formatCount(n)} cells (${formatShare(agreed / n)}); ${chance}.${doubt}`
    : `Give your own call for some cells to see how far you and the model agree.${doubt}`;
}

/**
 * What the printed report says above its tables.
 * @param {Cell[]} cells
 * @param {number} threshold
 * @param {Model} model
 */
export function showFacts(cells, threshold, model) {
  const facts = {
    Report: new Date().toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" }),
    Model: `leukoscope ${model.version}, recipe ${model.metadata.recipe ?? "not named"}, data ${model.metadata.fingerprint ?? "not named"}`,
    Threshold: `${threshold.toFixed(3)} (the model’s own: ${model.threshold.toFixed(3)}; meant to find 95%: ${model.sensitive_threshold.toFixed(3)})`,
    Cells: formatCount(cells.length),
  };
  const list = build("dl");
  for (const [name, words] of Object.entries(facts)) list.append(build("dt", "", name), build("dd", "", words));
  find("report-facts").replaceChildren(list);
}
