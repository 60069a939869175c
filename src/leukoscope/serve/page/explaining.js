/**
 * What one answer rests on, in the large view: asked for when wanted, dropped when one goes on.
 *
 * @typedef {import("./gallery.js").Card} Card
 * @typedef {import("./engine.js").Explained} Explained
 */

import { callCell } from "./deciding.js";
import { build } from "./gallery.js";

const CROP = 450; // pixels of the picture's middle that the map lies over

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * @param {object} page
 * @param {(picture: import("./engine.js").Picture, threshold: number, signal: AbortSignal) => Promise<Explained>} page.explain
 * @param {() => number} page.readThreshold
 */
export function buildWhy({ explain, readThreshold }) {
  const button = /** @type {HTMLButtonElement} */ (find("v-ask"));
  const strength = /** @type {HTMLInputElement} */ (find("v-strength"));
  /** @type {WeakMap<Card, {call: string, explained: Explained}>} */
  const known = new WeakMap();
  let asked = new AbortController();

  /** @param {boolean} busy */
  function setBusy(busy) {
    find("v-why").setAttribute("aria-busy", String(busy));
    find("v-wait").hidden = !busy;
  }

  function close() {
    asked.abort();
    find("v-overlay").replaceChildren();
    setBusy(false);
    button.setAttribute("aria-expanded", "false");
    if (find("v-why").contains(document.activeElement)) button.focus(); // else the keys go nowhere
    for (const id of ["v-why", "v-found", "v-map"]) find(id).hidden = true;
    for (const id of ["v-said", "v-failed"]) find(id).textContent = "";
  }

  /** @param {Card} card */
  async function open(card) {
    close();
    asked = new AbortController();
    const { signal } = asked;
    const threshold = readThreshold(), call = callCell(card.cell, threshold);
    button.setAttribute("aria-expanded", "true");
    find("v-why").hidden = false;
    setBusy(true);
    find("v-why").scrollIntoView({ block: "nearest" });
    try {
      const before = known.get(card);
      const explained = before?.call === call
        ? before.explained
        : await explain({ name: card.cell.image, open: card.open }, threshold, signal);
      const drawn = explained.believed ? await drawMap(card, explained) : null;
      if (signal.aborted) return;
      known.set(card, { call, explained });
      show(explained, drawn);
    } catch (error) {
      if (!signal.aborted) find("v-failed").textContent = error instanceof Error ? error.message : String(error);
    }
    if (!signal.aborted) setBusy(false);
  }

  /**
   * @param {Explained} explained
   * @param {HTMLCanvasElement | null} drawn
   */
  function show(explained, drawn) {
    find("v-said").textContent = explained.believed ? explained.verdict : `${explained.verdict} So it is not shown.`;
    find("v-flat").textContent = explained.flat;
    find("v-beside").textContent = `Among ${explained.reference}. Measures are of the pixels; the network may look at other things.`;
    find("v-measures").replaceChildren(...explained.measures.map(({ title, words, percentiles }) => {
      const row = build("tr"), name = build("th", "", title);
      name.scope = "row";
      row.append(name, ...[words, percentiles.leukaemic.words, percentiles.normal.words].map((text) => build("td", "", text)));
      return row;
    }));
    find("v-found").hidden = false;
    find("v-map").hidden = !drawn;
    if (drawn) find("v-overlay").replaceChildren(drawn);
    find("v-why").scrollIntoView();
  }

  strength.addEventListener("input", () => {
    find("v-overlay").style.opacity = strength.value;
  });

  find("v-overlay").style.opacity = strength.value;

  return {
    close,
    /** @param {Card} card */
    toggle(card) {
      if (button.disabled) return;
      if (button.getAttribute("aria-expanded") === "true") close();
      else open(card);
    },
  };
}

/**
 * The map on a clear ground of the picture's size, over its middle.
 * @param {Card} card
 * @param {Explained} explained
 */
async function drawMap(card, { layer }) {
  const bytes = Uint8Array.from(atob(layer), (letter) => letter.charCodeAt(0));
  const [map, picture] = await Promise.all([
    createImageBitmap(new Blob([bytes], { type: "image/png" })),
    card.open().then(createImageBitmap).catch(() => ({ width: CROP, height: CROP })), // no preview: the map alone
  ]);
  const canvas = build("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d")?.drawImage(map, (picture.width - CROP) / 2, (picture.height - CROP) / 2, CROP, CROP);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Map over the cell: orange where detail speaks for leukaemic, blue for normal");
  return canvas;
}
