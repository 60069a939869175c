/**
 * Which cells are shown: the choices of the filters, and what they let pass.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 */

import { listWarnings, nameWarning, passesFilter } from "./deciding.js";
import { build, field, find } from "./dom.js";

const FILTERS = ["filter-call", "filter-certainty", "filter-warning", "filter-reading", "filter-subject"];
const ORDER = new Intl.Collator("en", { numeric: true });

/** @param {() => void} onChange */
export function buildFilters(onChange) {
  for (const id of FILTERS) find(id).addEventListener("change", onChange);
}

/**
 * What tells whether a cell is to be shown, as the filters stand.
 * @param {number} threshold
 */
export function readFilter(threshold) {
  const [call, certainty, warning, reading, subject] = FILTERS.map((id) => field(id).value);
  const filter = /** @type {import("./deciding.js").Filter} */ ({ call, certainty, warning, reading, subject });
  return (/** @type {Cell} */ cell) => passesFilter(cell, threshold, filter);
}

/**
 * The warnings and the subjects on the page, to filter by.
 * @param {Cell[]} cells
 */
export function showFilters(cells) {
  const kinds = [...new Set(cells.flatMap(listWarnings).map(nameWarning))].sort();
  showChoices("filter-warning", [["", "all"], ["none", "without"], ["any", "with any"], ...pair(kinds, "")]);
  const names = [...new Set(cells.map(({ subject }) => subject).filter(Boolean))].sort(ORDER.compare);
  showChoices("filter-subject", [["", "all"], ["none", "without one"], ...pair(names, "=")]);
}

/**
 * @param {string[]} words
 * @param {string} sign
 * @returns {[string, string][]}
 */
function pair(words, sign) {
  return words.map((word) => [sign + word, word]);
}

/**
 * @param {string} id
 * @param {[string, string][]} choices  value and words
 */
function showChoices(id, choices) {
  const select = field(id), listed = JSON.stringify(choices);
  if (select.dataset.listed === listed) return;
  const chosen = select.value;
  select.dataset.listed = listed;
  select.replaceChildren(...choices.map(([value, words]) => {
    const option = build("option", "", words);
    option.value = value;
    return option;
  }));
  select.value = choices.some(([value]) => value === chosen) ? chosen : "";
}
