/**
 * The cells as a grid of buttons, sorted; pictures are held only for those near the window.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {object} Found
 * @property {Cell} cell
 * @property {import("./engine.js").Picture} picture  the image that it is in
 * @property {() => Promise<Blob>} open               the cell's own picture
 *
 * @typedef {Record<"button" | "frame" | "call" | "subject" | "twin" | "reading", HTMLElement>} Parts
 * @typedef {Found & {item: HTMLLIElement, parts: Parts}} Card
 *
 * @typedef {object} Gallery
 * @property {HTMLUListElement} list
 * @property {Card[]} cards   as sorted
 * @property {Map<Element, Card>} byItem
 * @property {IntersectionObserver} watcher
 * @property {Set<Card>} first  whose pictures are kept, wherever the window is: those that are printed
 */

import { callCell, compareCells, isOverridden, nameCell } from "./deciding.js";
import { build } from "./dom.js";
import { formatProbability } from "./formatting.js";
import { pick } from "./lists.js";

const SAMPLE = 32; // pixels a side, to measure a picture by
const BRIGHTER = 1.6, BRIGHTEST = 235; // at most so many times, up to this light of 255
const BLACK = 16; // darkest light that is not black

/**
 * @param {HTMLUListElement} list
 * @param {(card: Card) => void} onOpen
 * @returns {Gallery}
 */
export function buildGallery(list, onOpen) {
  /** @type {Map<Element, Card>} */
  const byItem = new Map();
  const watcher = new IntersectionObserver(
    (changes) => {
      for (const { target, isIntersecting } of changes) {
        const card = byItem.get(target);
        if (!card) continue;
        if (isIntersecting) showPicture(card.parts.frame, card.open);
        else if (!gallery.first.has(card)) dropPicture(card.parts.frame);
      }
    },
    { rootMargin: "600px" },
  );
  /** @type {Gallery} */
  const gallery = { list, cards: [], byItem, watcher, first: new Set() };
  list.addEventListener("click", (event) => {
    const item = event.target instanceof Element ? event.target.closest("li") : null;
    const card = item && byItem.get(item);
    if (card) onOpen(card);
  });
  list.addEventListener("keydown", (event) => moveFocus(gallery, event));
  return gallery;
}

/** @param {Gallery} gallery */
export function listShown({ cards }) {
  return cards.filter(({ item }) => !item.hidden);
}

/**
 * @param {Gallery} gallery
 * @param {Card} card
 */
export function focusCard({ list }, { item, parts }) {
  for (const stop of list.querySelectorAll('button[tabindex="0"]')) stop.setAttribute("tabindex", "-1");
  parts.button.tabIndex = 0;
  parts.button.focus();
  item.scrollIntoView({ block: "nearest" });
}

/**
 * Add cells; each goes to its place.
 * @param {Gallery} gallery
 * @param {Found[]} found
 * @param {number} threshold
 */
export function addCells(gallery, found, threshold) {
  const added = found.map(buildCard).sort((a, b) => compareCells(a.cell, b.cell));
  gallery.cards = mergeCards(gallery.list, gallery.cards, added);
  for (const card of added) {
    gallery.byItem.set(card.item, card);
    showCall(card, threshold);
    gallery.watcher.observe(card.item);
  }
}

/**
 * Show calls at a threshold, and only the cells that pass. Returns how many do.
 * @param {Gallery} gallery
 * @param {number} threshold
 * @param {(cell: Cell) => boolean} passes
 */
export function updateGallery(gallery, threshold, passes) {
  let shown = 0, stops = 0;
  for (const card of gallery.cards) {
    showCall(card, threshold);
    const hidden = !passes(card.cell);
    if (card.item.hidden !== hidden) card.item.hidden = hidden;
    shown += hidden ? 0 : 1;
    stops += !hidden && card.parts.button.tabIndex === 0 ? 1 : 0;
  }
  if (!stops) listShown(gallery)[0]?.parts.button.setAttribute("tabindex", "0");
  return shown;
}

/**
 * Hold the pictures of the first cells shown: a browser's menu prints at once what is there. The others are not printed.
 * @param {Gallery} gallery
 * @param {number} most
 */
export function keepFirst(gallery, most) {
  const first = new Set(listShown(gallery).slice(0, most));
  for (const card of gallery.first) {
    if (first.has(card)) continue;
    card.item.classList.remove("printed");
    dropPicture(card.parts.frame);
    gallery.watcher.unobserve(card.item);
    gallery.watcher.observe(card.item); // tells anew whether it is near the window
  }
  for (const card of first) {
    if (gallery.first.has(card)) continue;
    card.item.classList.add("printed");
    if (!card.parts.frame.dataset.ticket) showPicture(card.parts.frame, card.open);
  }
  gallery.first = first;
}

/**
 * Wait for these pictures.
 * @param {Gallery} gallery
 * @param {number} most
 */
export async function waitForFirst(gallery, most) {
  keepFirst(gallery, most);
  await Promise.all([...gallery.first].map(({ parts, open }) => parts.frame.firstChild ? null : showPicture(parts.frame, open)));
}

/** @param {Gallery} gallery */
export function clearGallery(gallery) {
  gallery.watcher.disconnect();
  gallery.list.replaceChildren();
  gallery.byItem.clear();
  gallery.cards = [];
  gallery.first.clear();
}

/**
 * Show a picture in a frame once it is decoded; a format that the browser can't read is said so.
 * @param {HTMLElement} frame
 * @param {() => Promise<Blob>} open
 * @returns {Promise<void>}
 */
export async function showPicture(frame, open) {
  const ticket = String(Math.random());
  frame.dataset.ticket = ticket;
  const image = new Image();
  image.alt = "";
  const address = URL.createObjectURL(await open().catch(() => new Blob()));
  try {
    image.src = address;
    await image.decode();
    fitPicture(image);
    if (frame.dataset.ticket === ticket) frame.replaceChildren(image);
  } catch {
    if (frame.dataset.ticket === ticket) frame.replaceChildren("no preview");
  } finally {
    URL.revokeObjectURL(address); // the decoded picture stays
  }
}

/**
 * Brighten a dark picture, so that chromatin is seen, as far as it bleaches nothing; tell whether black surrounds the cell.
 * @param {HTMLImageElement} image
 */
function fitPicture(image) {
  const pen = new OffscreenCanvas(SAMPLE, SAMPLE).getContext("2d");
  if (!pen) return;
  pen.drawImage(image, 0, 0, SAMPLE, SAMPLE);
  const { data } = pen.getImageData(0, 0, SAMPLE, SAMPLE);
  let brightest = 1, edge = 0;
  for (let place = 0; place < data.length; place += 4) {
    const light = Math.max(pick(data, place), pick(data, place + 1), pick(data, place + 2));
    const x = (place / 4) % SAMPLE, y = Math.floor(place / 4 / SAMPLE);
    brightest = Math.max(brightest, light);
    if (x % (SAMPLE - 1) === 0 || y % (SAMPLE - 1) === 0) edge = Math.max(edge, light);
  }
  image.style.setProperty("--light", String(Math.min(BRIGHTER, Math.max(1, BRIGHTEST / brightest))));
  image.classList.toggle("framed", edge < BLACK);
}

/** @param {HTMLElement} frame */
function dropPicture(frame) {
  frame.dataset.ticket = "";
  frame.replaceChildren();
}

/**
 * The arrow keys go from cell to cell, as the grid stands.
 * @param {Gallery} gallery
 * @param {KeyboardEvent} event
 */
function moveFocus(gallery, event) {
  const shown = listShown(gallery);
  const at = shown.findIndex(({ item }) => item.contains(document.activeElement));
  if (at < 0) return;
  const top = pick(shown, at).item.offsetTop;
  const row = shown.findIndex(({ item }) => item.offsetTop === top);
  const after = shown.findIndex(({ item }, place) => place > at && item.offsetTop !== top);
  const columns = Math.max(1, (after < 0 ? shown.length : after) - row);
  /** @type {Record<string, number>} */
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: shown.length - 1 - at };
  const step = steps[event.key];
  const next = step === undefined ? undefined : shown[at + step];
  if (!next) return;
  event.preventDefault();
  focusCard(gallery, next);
}

/**
 * Two sorted lists of cards → one, in the document too.
 * @param {HTMLUListElement} list
 * @param {Card[]} cards  that stand in the document
 * @param {Card[]} added
 */
function mergeCards(list, cards, added) {
  const waiting = added.values();
  const merged = [];
  let next = waiting.next();
  for (const card of cards) {
    for (; !next.done && compareCells(next.value.cell, card.cell) < 0; next = waiting.next()) {
      list.insertBefore(next.value.item, card.item);
      merged.push(next.value);
    }
    merged.push(card);
  }
  for (; !next.done; next = waiting.next()) {
    list.append(next.value.item);
    merged.push(next.value);
  }
  return merged;
}

/**
 * @param {Found} found
 * @returns {Card}
 */
function buildCard({ cell, picture, open }) {
  const item = build("li");
  const button = build("button", "cell");
  const frame = build("span", "frame"), text = build("span", "text");
  const call = build("span", "call"), number = build("span", "number", formatProbability(cell.probability));
  const reading = build("span", "reading");
  button.type = "button";
  button.tabIndex = -1;
  const subject = build("span", "subject"), twin = build("span", "doubt");
  text.append(call, number, subject, build("span", "file", nameCell({ image: cell.image.split("/").at(-1) ?? "", cell: cell.cell })));
  if (cell.warnings) text.append(build("span", "note", cell.warnings));
  else if (cell.conformalCall === "uncertain") text.append(build("span", "doubt", "uncertain"));
  text.append(twin, reading);
  button.append(frame, text);
  button.title = cell.warnings ? `${nameCell(cell)}: ${cell.warnings}` : nameCell(cell);
  item.append(button);
  return { cell, picture, open, item, parts: { button, frame, call, subject, twin, reading } };
}

/**
 * Write the call where it changed: 2,000 cells follow the slider.
 * @param {Card} card
 * @param {number} threshold
 */
function showCall({ cell, item, parts }, threshold) {
  const call = callCell(cell, threshold);
  const differs = isOverridden(cell, threshold);
  const state = [call, cell.reading, differs, cell.mode, cell.subject, cell.twin].join("\n");
  if (item.dataset.state === state) return;
  item.dataset.state = state;
  parts.call.className = `call ${call}`;
  parts.call.textContent = call === "error" ? "no prediction" : call;
  parts.subject.textContent = cell.subject;
  parts.twin.textContent = cell.twin ? `same pixels as ${cell.twin.split("/").at(-1)}` : "";
  parts.reading.className = differs ? "reading differs" : "reading";
  parts.reading.textContent = cell.reading ? `You${cell.mode === "blind" ? ", blind" : ""}: ${cell.reading}` : "";
}
