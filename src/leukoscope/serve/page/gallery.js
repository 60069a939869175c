/**
 * The cells as a grid of buttons, sorted; pictures are held only for those near the window.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {{cell: Cell, open: () => Promise<Blob>, item: HTMLLIElement, parts: Record<string, HTMLElement>}} Card
 */

import { callCell, compareCells, isOverruled } from "./deciding.js";

/**
 * An element with a class and a text.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [name]
 * @param {string} [text]
 */
export function build(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
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
    if (frame.dataset.ticket === ticket) frame.replaceChildren(image);
  } catch {
    if (frame.dataset.ticket === ticket) frame.replaceChildren("no preview");
  } finally {
    URL.revokeObjectURL(address); // the decoded picture stays
  }
}

/** @param {HTMLElement} frame */
function dropPicture(frame) {
  frame.dataset.ticket = "";
  frame.replaceChildren();
}

/**
 * @param {HTMLUListElement} list
 * @param {(card: Card) => void} onOpen
 */
export function buildGallery(list, onOpen) {
  /** @type {Card[]} */
  let cards = []; // as sorted
  /** @type {Map<Element, Card>} */
  const byItem = new Map();
  const watcher = new IntersectionObserver(
    (changes) => {
      for (const { target, isIntersecting } of changes) {
        const card = byItem.get(target);
        if (!card) continue;
        if (isIntersecting) showPicture(card.parts.frame, card.open);
        else dropPicture(card.parts.frame);
      }
    },
    { rootMargin: "600px" },
  );

  list.addEventListener("click", (event) => {
    const item = event.target instanceof Element ? event.target.closest("li") : null;
    const card = item && byItem.get(item);
    if (card) onOpen(card);
  });
  list.addEventListener("keydown", (event) => move(event));

  /** @param {KeyboardEvent} event */
  function move(event) {
    const shown = listShown();
    const at = shown.findIndex(({ item }) => item.contains(document.activeElement));
    if (at < 0) return;
    const top = shown[at].item.offsetTop;
    const row = shown.findIndex(({ item }) => item.offsetTop === top);
    const after = shown.findIndex(({ item }, place) => place > at && item.offsetTop !== top);
    const columns = Math.max(1, (after < 0 ? shown.length : after) - row);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: shown.length - 1 - at };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    const next = step === undefined ? undefined : shown[at + step];
    if (!next) return;
    event.preventDefault();
    focusCard(next);
  }

  /** @param {Card} card */
  function focusCard(card) {
    for (const stop of list.querySelectorAll('button[tabindex="0"]')) stop.setAttribute("tabindex", "-1");
    card.parts.button.tabIndex = 0;
    card.parts.button.focus();
    card.item.scrollIntoView({ block: "nearest" });
  }

  function listShown() {
    return cards.filter(({ item }) => !item.hidden);
  }

  return {
    listShown,
    focusCard,
    /**
     * Add cells; each goes to its place.
     * @param {{cell: Cell, open: () => Promise<Blob>}[]} found
     * @param {number} threshold
     */
    add(found, threshold) {
      const added = found.map((one) => buildCard(one)).sort((a, b) => compareCells(a.cell, b.cell));
      const merged = [];
      let place = 0;
      for (const card of cards) {
        while (place < added.length && compareCells(added[place].cell, card.cell) < 0) {
          list.insertBefore(added[place].item, card.item);
          merged.push(added[place]);
          place += 1;
        }
        merged.push(card);
      }
      for (; place < added.length; place += 1) {
        list.append(added[place].item);
        merged.push(added[place]);
      }
      cards = merged;
      for (const card of added) {
        byItem.set(card.item, card);
        showCall(card, threshold);
        watcher.observe(card.item);
      }
    },
    /**
     * Show calls at a threshold, and only the cells that pass. Returns how many do.
     * @param {number} threshold
     * @param {(cell: Cell) => boolean} passes
     */
    update(threshold, passes) {
      let shown = 0, stops = 0;
      for (const card of cards) {
        showCall(card, threshold);
        const hidden = !passes(card.cell);
        if (card.item.hidden !== hidden) card.item.hidden = hidden;
        shown += hidden ? 0 : 1;
        stops += !hidden && card.parts.button.tabIndex === 0 ? 1 : 0;
      }
      if (!stops) listShown()[0]?.parts.button.setAttribute("tabindex", "0");
      return shown;
    },
    /**
     * Decode the pictures of the first cells shown, for printing; the others are not printed.
     * @param {number} most
     */
    async preparePrint(most) {
      const shown = listShown();
      cards.forEach(({ item }) => item.classList.add("unprinted"));
      shown.slice(0, most).forEach(({ item }) => item.classList.remove("unprinted"));
      await Promise.all(shown.slice(0, most).map(({ parts, open }) =>
        parts.frame.querySelector("img") ? null : showPicture(parts.frame, open)));
      return Math.min(most, shown.length);
    },
    clear() {
      watcher.disconnect();
      list.replaceChildren();
      byItem.clear();
      cards = [];
    },
  };
}

/**
 * @param {{cell: Cell, open: () => Promise<Blob>}} found
 * @returns {Card}
 */
function buildCard({ cell, open }) {
  const item = build("li");
  const button = build("button", "cell");
  const frame = build("span", "frame"), text = build("span", "text");
  const call = build("span", "call"), number = build("span", "number", formatProbability(cell.probability));
  const reading = build("span", "reading");
  button.type = "button";
  button.tabIndex = -1;
  text.append(call, number, build("span", "file", cell.image.split("/").at(-1)));
  if (cell.warnings) text.append(build("span", "note", cell.warnings));
  else if (cell.conformalCall === "uncertain") text.append(build("span", "doubt", "uncertain"));
  text.append(reading);
  button.append(frame, text);
  button.title = cell.warnings ? `${cell.image}: ${cell.warnings}` : cell.image;
  item.append(button);
  return { cell, open, item, parts: { button, frame, call, reading } };
}

/**
 * Write the call where it changed: 2,000 cells follow the slider.
 * @param {Card} card
 * @param {number} threshold
 */
function showCall({ cell, item, parts }, threshold) {
  const call = callCell(cell, threshold);
  const differs = isOverruled(cell, threshold);
  const state = `${call} ${cell.reading} ${differs}`;
  if (item.dataset.state === state) return;
  item.dataset.state = state;
  parts.call.className = `call ${call}`;
  parts.call.textContent = call === "error" ? "no answer" : call;
  parts.reading.className = differs ? "reading differs" : "reading";
  parts.reading.textContent = cell.reading ? `You: ${cell.reading}` : "";
}

/** @param {number | null} probability */
export function formatProbability(probability) {
  return probability === null ? "–" : probability.toFixed(3);
}
