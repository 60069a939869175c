/**
 * Rows and pictures → the cells of the page, and what is to be said of them.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {import("./engine.js").Picture} Picture
 * @typedef {import("./engine.js").Row} Row
 */

import { formatCounted } from "./formatting.js";
import { restoreEntered } from "./keeping.js";
import { markTwins } from "./naming.js";
import { describeFailed } from "./panels.js";

/**
 * @param {Row} row
 * @param {Picture} picture
 * @returns {Cell}
 */
export function toCell({ cell, subject: name, model, probability, conformal_call: conformalCall, warnings, crop_hash: crop }, { name: image, folder, simulated }) {
  const subject = name && simulated ? `sim ${name}` : name;
  return {
    image, cell, subject, model, source: name ? "name" : "", folder, probability, conformalCall, warnings,
    reading: null, mode: "", seen: false, simulated, crop, twin: "",
  };
}

/**
 * Images without a prediction, as rows of the table.
 * @param {Picture[]} left
 */
export function listLeft(left) {
  const missing = { cell: "", subject: "", probability: null, conformal_call: /** @type {const} */ ("error"), warnings: "not predicted by the server", call: "error", box: null, model: "", crop_hash: "" };
  return left.map((picture) => toCell({ ...missing, image: picture.name }, picture));
}

/**
 * Give new cells what was entered for them before a reload, and list what is to be said of them.
 * @param {Cell[]} added
 * @param {Cell[]} cells  all on the page
 * @param {import("./engine.js").Facts} facts
 */
export function describeAdded(added, cells, facts) {
  const restored = restoreEntered(added);
  const twins = markTwins(cells, new Set(added)), notes = describeFailed(added, facts);
  const folders = [...new Set(added.filter(({ source }) => source === "folder").map(({ subject }) => subject))].sort();
  if (folders.length) {
    notes.push(`Subjects by folder: ${folders.slice(0, 6).join(", ")}${folders.length > 6 ? ", …" : ""}. Change them under Subjects.`);
  }
  if (twins.example) {
    notes.push(`${formatCounted(twins.count, "cell has", "cells have")} the same pixels as another, such as ${twins.example.join(" and ")}. All are kept and counted.`);
  }
  if (restored) notes.push(`What you entered before the reload is back for ${formatCounted(restored, "cell")}.`);
  return notes;
}
