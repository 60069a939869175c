/**
 * What one answer rests on, in the large view: asked for when wanted, dropped when one goes on.
 *
 * @typedef {import("./gallery.js").Card} Card
 * @typedef {import("./engine.js").Engine} Engine
 * @typedef {import("./engine.js").Explained} Explained
 *
 * @typedef {object} Hooks   what the page gives
 * @property {Engine["explain"]} explain
 * @property {() => number} readThreshold
 * @property {() => number} readFrame  pixels of the picture's central square that the map lies over
 *
 * @typedef {object} Why
 * @property {Hooks} hooks
 * @property {WeakMap<Card, {call: string, explained: Explained}>} known
 * @property {AbortController} asked   of the explanation that is shown, or under way
 */

import { callCell } from "./deciding.js";
import { build, field, find, findButton } from "./dom.js";

/**
 * @param {Hooks} hooks
 * @returns {Why}
 */
export function buildWhy(hooks) {
  const strength = field("v-strength");
  const fade = () => {
    find("v-overlay").style.opacity = strength.value;
  };
  strength.addEventListener("input", fade);
  fade();
  return { hooks, known: new WeakMap(), asked: new AbortController() };
}

/** @param {Why} why */
export function closeWhy(why) {
  const button = findButton("v-ask");
  why.asked.abort();
  find("v-overlay").replaceChildren();
  setBusy(false);
  button.setAttribute("aria-expanded", "false");
  if (find("v-why").contains(document.activeElement)) button.focus(); // else the keys go nowhere
  for (const id of ["v-why", "v-found", "v-map"]) find(id).hidden = true;
  for (const id of ["v-said", "v-failed"]) find(id).textContent = "";
}

/**
 * @param {Why} why
 * @param {Card} card
 */
export function toggleWhy(why, card) {
  const button = findButton("v-ask");
  if (button.disabled) return;
  if (button.getAttribute("aria-expanded") === "true") closeWhy(why);
  else openWhy(why, card);
}

/**
 * @param {Why} why
 * @param {Card} card
 */
async function openWhy(why, card) {
  closeWhy(why);
  why.asked = new AbortController();
  const { signal } = why.asked;
  findButton("v-ask").setAttribute("aria-expanded", "true");
  find("v-why").hidden = false;
  setBusy(true);
  find("v-why").scrollIntoView({ block: "nearest" });
  try {
    const explained = await explainOnce(why, card, signal);
    const drawn = explained.passes_check ? await drawMap(card, explained, why.hooks.readFrame()) : null;
    if (!signal.aborted) show(explained, drawn);
  } catch (error) {
    if (!signal.aborted) find("v-failed").textContent = error instanceof Error ? error.message : String(error);
  }
  if (!signal.aborted) setBusy(false);
}

/**
 * Asked once for each call of a cell.
 * @param {Why} why
 * @param {Card} card
 * @param {AbortSignal} signal
 */
async function explainOnce({ hooks, known }, card, signal) {
  const threshold = hooks.readThreshold(), call = callCell(card.cell, threshold);
  const before = known.get(card);
  if (before?.call === call) return before.explained;
  const explained = await hooks.explain(card.picture, card.cell.cell, threshold, signal);
  known.set(card, { call, explained });
  return explained;
}

/** @param {boolean} busy */
function setBusy(busy) {
  find("v-why").setAttribute("aria-busy", String(busy));
  find("v-wait").hidden = !busy;
}

/**
 * @param {Explained} explained
 * @param {HTMLCanvasElement | null} drawn
 */
function show(explained, drawn) {
  find("v-said").textContent = explained.passes_check ? explained.check_words : `${explained.check_words} So it is not shown.`;
  find("v-flat").textContent = explained.flat;
  find("v-beside").textContent = `${explained.reference} The measures are computed from the pixels; the network may use other features.`;
  find("v-measures").replaceChildren(...explained.measures.map(({ title, words, percentiles }) => {
    const row = build("tr"), name = build("th", "", title);
    name.scope = "row";
    const places = [percentiles.leukaemic, percentiles.normal].flatMap((place) => place ? [place.words] : []);
    row.append(name, ...[words, ...places].map((text) => build("td", "", text)));
    return row;
  }));
  const compared = explained.measures.some(({ percentiles }) => percentiles.leukaemic || percentiles.normal);
  for (const id of ["v-leukaemic", "v-normal", "v-percentiles"]) find(id).hidden = !compared;
  find("v-found").hidden = false;
  find("v-map").hidden = !drawn;
  if (drawn) find("v-overlay").replaceChildren(drawn);
  find("v-why").scrollIntoView();
}

/**
 * The map on a clear ground of the picture's size, over its middle.
 * @param {Card} card
 * @param {Explained} explained
 * @param {number} side  of the square that it covers, in pixels of the picture
 */
async function drawMap(card, { layer }, side) {
  const bytes = Uint8Array.from(atob(layer), (letter) => letter.charCodeAt(0));
  const [map, picture] = await Promise.all([
    createImageBitmap(new Blob([bytes], { type: "image/png" })),
    card.open().then(createImageBitmap).catch(() => ({ width: side, height: side })), // no preview: the map alone
  ]);
  const canvas = build("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d")?.drawImage(map, (picture.width - side) / 2, (picture.height - side) / 2, side, side);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Map over the cell: one colour for evidence for leukaemic, another for normal");
  return canvas;
}
