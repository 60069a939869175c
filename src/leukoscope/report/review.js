/**
 * Review the links in the page of `leukoscope data audit`: which names are one person, in the reader's view.
 * audit_page.py puts this module into the page with those that it imports, as one script.
 */

import { build, find, findButton, save } from "../serve/page/dom.js";
import { formatCount, formatCounted } from "../serve/page/formatting.js";
import { pick } from "../serve/page/lists.js";
import {
  countGroups, describeChange, describeHold, groupNames, listBetween, nameBoth, nameGroup, writeGroups, writeLinks,
} from "./joining.js";

/** @type {import("./joining.js").Review} */
const review = JSON.parse(find("review-data").textContent ?? "");
const began = review.links.map((link) => link.accepted);
const cards = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".pair")]);
const view = /** @type {HTMLDialogElement} */ (find("view"));
const state = {
  current: 0,
  shown: 0, // the pair that is or was large
  unsaved: false,
};

/** @param {number} place */
function findLink(place) {
  return pick(review.links, place);
}

/** @param {number} place */
function findCardButton(place) {
  return /** @type {HTMLButtonElement} */ (pick(cards, place).querySelector("button"));
}

/**
 * @param {number[]} places
 * @param {boolean} accepted
 */
function decide(places, accepted) {
  const changed = places.filter((place) => findLink(place).accepted !== accepted);
  if (!changed.length) return;
  const before = groupNames(review);
  for (const place of changed) findLink(place).accepted = accepted;
  state.unsaved = true;
  changed.forEach(drawCard);
  draw(describeChange(review, findLink(pick(changed, 0)), changed.length, before));
}

/** @param {number} place */
function drawCard(place) {
  const rejected = !findLink(place).accepted;
  pick(cards, place).classList.toggle("rejected", rejected);
  findCardButton(place).setAttribute("aria-pressed", String(rejected));
}

/** @param {string} [change] */
function draw(change = "") {
  const groups = groupNames(review);
  const { links } = review;
  const rejected = links.filter((link) => !link.accepted).length;
  find("people").textContent = formatCount(countGroups(groups));
  find("tally").textContent = `${formatCounted(links.length, "link")} across names, ${rejected || "none"} rejected.`;
  find("change").textContent = change;
  const equal = links.filter((link) => link.equal && groups[link.a] !== groups[link.b]).length;
  find("equal").hidden = !equal;
  find("equal").textContent = `${formatCounted(equal, "pair")} under separated names ${equal === 1 ? "has" : "have"} equal pixels: `
    + "the same image may be used for training and for evaluation. Such cells will count as leaky.";
  find("reset").hidden = links.every((link, place) => link.accepted === began[place]);
  drawGroups(groups);
  if (view.open) drawView(change);
}

/** @param {number[]} groups */
function drawGroups(groups) {
  const { fixed, links, names, file } = review;
  const joined = [...new Set(groups)].filter((group) => groups.indexOf(group) !== groups.lastIndexOf(group));
  find("groups").replaceChildren(...joined.map((group) => {
    const byFile = fixed.filter(([a]) => groups[a] === group).map(([a, b]) => `${pick(names, a)}–${pick(names, b)}: by ${file}`);
    const within = links.flatMap((link, place) => link.accepted && groups[link.a] === group ? [place] : []);
    return buildItem(nameGroup(review, groups, group), within, byFile);
  }));
  find("no-groups").hidden = joined.length > 0;
  const apart = links.flatMap((link, place) => groups[link.a] !== groups[link.b] ? [place] : []);
  find("apart").replaceChildren(...(apart.length ? [buildItem("Separated", apart, [])] : []));
}

/**
 * A line for each two names that links join; pressed, it goes to the first of these links.
 * @param {string} title
 * @param {number[]} places
 * @param {string[]} more
 */
function buildItem(title, places, more) {
  const item = build("li");
  item.append(build("b", "", title), ...more.map((words) => build("span", "", words)));
  /** @type {Map<string, number[]>} */
  const between = new Map();
  for (const place of places) {
    const both = nameBoth(review, findLink(place), "–");
    between.set(both, [...between.get(both) ?? [], place]);
  }
  for (const [both, those] of between) {
    const jump = build("button", "", `${both}: ${formatCounted(those.length, "link")}`);
    jump.type = "button";
    jump.addEventListener("click", () => go(pick(those, 0)));
    item.append(jump);
  }
  return item;
}

/**
 * @param {number} place
 * @param {boolean} [focus]
 */
function go(place, focus = true) {
  if (!review.links.length) return;
  findCardButton(state.current).tabIndex = -1;
  state.current = Math.max(0, Math.min(review.links.length - 1, place));
  const card = pick(cards, state.current), button = findCardButton(state.current);
  button.tabIndex = 0;
  if (view.open) drawView();
  else if (focus) {
    const folded = card.closest("details");
    if (folded) folded.open = true;
    button.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  }
}

/** @param {string} [change] */
function drawView(change) {
  const { current } = state;
  const link = findLink(current), between = listBetween(review, link);
  state.shown = current;
  find("view-title").textContent = `Pair ${current + 1} of ${review.links.length}`;
  drawSide("left", link.image, link.a);
  drawSide("right", link.other, link.b);
  find("view-facts").textContent = link.equal
    ? "Equal pixels."
    : `Correlation ${link.correlation?.toFixed(2)}, evidence ${link.evidence?.toFixed(0)}.`;
  find("view-change").textContent = change || describeHold(review, current);
  view.classList.toggle("rejected", !link.accepted);
  find("view-accept").setAttribute("aria-pressed", String(link.accepted));
  find("view-reject").setAttribute("aria-pressed", String(!link.accepted));
  findButton("view-previous").disabled = current === 0;
  findButton("view-next").disabled = current === review.links.length - 1;
  find("view-all").hidden = between.length < 2;
  find("view-all-words").textContent = `All ${between.length} links between ${nameBoth(review, link)}:`;
}

/**
 * One half of the pair, large.
 * @param {"left" | "right"} side
 * @param {string} image
 * @param {number} subject  its place in names
 */
function drawSide(side, image, subject) {
  const picture = /** @type {HTMLImageElement} */ (find(`view-${side}`));
  picture.src = pick(cards, state.current).querySelector("img")?.src ?? "";
  picture.alt = `Picture of ${image}`;
  find(`view-${side}-name`).textContent = pick(review.names, subject);
  find(`view-${side}-image`).textContent = image.split("/").at(-1) ?? "";
  find(`view-${side}-image`).title = image;
}

function openView() {
  if (view.open) return;
  view.showModal();
  drawView();
  find("view-next").focus();
}

/** @param {KeyboardEvent} event */
function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { current } = state;
  const list = pick(cards, current).parentElement;
  const columns = view.open || !list ? 1 : getComputedStyle(list).gridTemplateColumns.split(" ").length;
  /** @type {Record<string, number>} */
  const places = {
    ArrowRight: current + 1, ArrowLeft: current - 1, ArrowDown: current + columns, ArrowUp: current - columns,
    Home: 0, End: review.links.length - 1,
  };
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const place = places[key];
  if (place !== undefined) go(place);
  else if (key === "a" || key === "r") decide([current], key === "a");
  else if (key === "v") openView();
  else return;
  event.preventDefault();
}

/**
 * @param {string} text
 * @param {string} name
 */
function saveTable(text, name) {
  save(text, name);
  state.unsaved = false;
}

function reset() {
  review.links.forEach((link, place) => {
    link.accepted = began[place] ?? link.accepted;
    drawCard(place);
  });
  state.unsaved = false;
  draw("All choices are reset to those at opening.");
}

/**
 * @param {HTMLElement} card
 * @param {number} place
 */
function wireCard(card, place) {
  findCardButton(place).addEventListener("click", () => decide([place], !findLink(place).accepted));
  card.addEventListener("keydown", press);
  card.addEventListener("focusin", () => place !== state.current && go(place, false));
  card.querySelector("img")?.addEventListener("click", () => {
    go(place);
    openView();
  });
}

function wireView() {
  const listAll = () => listBetween(review, findLink(state.current));
  view.addEventListener("keydown", press);
  view.addEventListener("close", () => go(state.shown)); // not where the browser puts the focus back
  find("view-close").addEventListener("click", () => view.close());
  find("view-previous").addEventListener("click", () => go(state.current - 1));
  find("view-next").addEventListener("click", () => go(state.current + 1));
  find("view-accept").addEventListener("click", () => decide([state.current], true));
  find("view-reject").addEventListener("click", () => decide([state.current], false));
  find("view-accept-all").addEventListener("click", () => decide(listAll(), true));
  find("view-reject-all").addEventListener("click", () => decide(listAll(), false));
}

function startReview() {
  cards.forEach(wireCard);
  wireView();
  find("one-by-one").addEventListener("click", openView);
  find("save-groups").addEventListener("click", () => saveTable(writeGroups(review), "groups.csv"));
  find("save-links").addEventListener("click", () => saveTable(writeLinks(review), "reviewed-links.csv"));
  find("reset").addEventListener("click", reset);
  addEventListener("beforeunload", (event) => state.unsaved && event.preventDefault());
  cards.forEach((_, place) => drawCard(place));
  go(0, false);
  draw();
  document.body.classList.add("review");
}

startReview();
