/**
 * What the server says of its model, written into the page's places for it (`data-fact`).
 *
 * @typedef {import("./engine.js").Model} Model
 */

import { field } from "./dom.js";
import { formatShare } from "./formatting.js";

/** @param {Model} model */
export function fillFacts({ facts, notice }) {
  /** @type {Record<string, string>} */
  const words = {
    notice,
    images: facts.images,
    simulated_banner: facts.simulated_banner,
    min_cells: String(facts.min_cells),
    certain_from: formatShare(facts.certain_from),
    confidence: formatShare(facts.confidence),
    sensitivity: formatShare(facts.sensitivity),
    naming: describeNaming(facts.naming),
  };
  for (const place of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-fact]"))) {
    place.textContent = words[place.dataset.fact ?? ""] ?? "";
  }
  field("files").accept = ["image/*", ".zip", ...facts.image_suffixes].join();
  for (const [label, colour] of Object.entries(facts.colours)) {
    document.documentElement.style.setProperty(`--${label}-map`, colour);
  }
}

/** @param {string} naming "" where file names say nothing */
function describeNaming(naming) {
  return naming
    ? `Subjects are read from file names like ${naming}, else from folders, or entered by hand.`
    : "Subjects are read from folders, or entered by hand: file names of this data set do not contain them.";
}
