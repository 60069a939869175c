/**
 * Which names are one person, by links accepted and rejected; nothing in here touches the document.
 *
 * @typedef {{ a: number, b: number, image: string, other: string, evidence: number | null,
 *   correlation: number | null, equal: boolean, accepted: boolean }} Link
 *   a and b are places in `names`; equal: the pixels are; accepted: the choice.
 * @typedef {{ names: string[], fixed: [number, number][], links: Link[], file: string }} Review
 *   names in natural order; fixed: joins that the groups file makes without a link.
 */

import { formatCounted } from "../serve/page/formatting.js";
import { pick } from "../serve/page/lists.js";
import { writeCsv } from "../serve/page/table.js";

/**
 * Union-find: each name's group, called by the place of its first name.
 * @param {number} count
 * @param {[number, number][]} edges
 */
export function joinNames(count, edges) {
  const parent = Array.from({ length: count }, (_, place) => place);
  /** @param {number} place */
  const findFirst = (place) => {
    while (pick(parent, place) !== place) place = parent[place] = pick(parent, pick(parent, place));
    return place;
  };
  for (const [a, b] of edges) {
    const first = findFirst(a), other = findFirst(b);
    parent[Math.max(first, other)] = Math.min(first, other);
  }
  return parent.map((_, place) => findFirst(place));
}

/**
 * Each name's group, by the links accepted.
 * @param {Review} review
 * @param {number} [without] a link to leave out
 */
export function groupNames(review, without) {
  return joinNames(review.names.length, listEdges(review, without));
}

/**
 * @param {Review} review
 * @param {number} [without]
 * @returns {[number, number][]}
 */
function listEdges({ fixed, links }, without) {
  const kept = links.filter((link, place) => link.accepted && place !== without);
  return [...fixed, ...kept.map(({ a, b }) => /** @type {[number, number]} */ ([a, b]))];
}

/** @param {number[]} groups */
export function countGroups(groups) {
  return new Set(groups).size;
}

/**
 * @param {Review} review
 * @param {number[]} groups
 * @param {number} place  of one of its names
 */
export function nameGroup({ names }, groups, place) {
  return names.filter((_, other) => groups[other] === groups[place]).join("+");
}

/**
 * @param {Review} review
 * @param {Link} link
 * @param {string} [word]
 */
export function nameBoth({ names }, { a, b }, word = " and ") {
  return `${pick(names, Math.min(a, b))}${word}${pick(names, Math.max(a, b))}`;
}

/**
 * Places of all links between the same two names.
 * @param {Review} review
 * @param {Link} link
 */
export function listBetween({ links }, { a, b }) {
  return links.flatMap((link, place) =>
    (link.a === a && link.b === b) || (link.a === b && link.b === a) ? [place] : []);
}

/**
 * The names on the shortest way from one name to another.
 * @param {Review} review
 * @param {Link} link
 */
function findWay(review, { a: from, b: to }) {
  /** @type {Map<number, number>} */
  const before = new Map([[from, from]]);
  const edges = listEdges(review);
  for (const place of before.keys()) {
    for (const [a, b] of edges) {
      const next = a === place ? b : b === place ? a : place;
      if (!before.has(next)) before.set(next, place);
    }
  }
  const way = [];
  for (let place = before.get(to) ?? from; place !== from; place = before.get(place) ?? from) way.unshift(place);
  return way.map((place) => pick(review.names, place));
}

/**
 * Why a link's names are joined, whatever its own choice.
 * @param {Review} review
 * @param {Link} link
 */
function describeBond(review, link) {
  const others = listBetween(review, link).map((place) => pick(review.links, place))
    .filter((other) => other.accepted && other !== link).length;
  if (others) return `by ${formatCounted(others, "other link")}`;
  const way = findWay(review, link);
  return way.length ? `through ${way.join(", ")}` : `by ${review.file}`;
}

/**
 * What a link decides as things stand.
 * @param {Review} review
 * @param {number} place
 */
export function describeHold(review, place) {
  const link = pick(review.links, place), both = nameBoth(review, link);
  const groups = groupNames(review), without = groupNames(review, place);
  if (groups[link.a] !== groups[link.b]) return `Rejected: ${both} are two people now.`;
  if (!link.accepted) return `Rejected; ${both} are joined ${describeBond(review, link)}.`;
  return without[link.a] === without[link.b]
    ? `${both} are also joined ${describeBond(review, link)}: rejecting this link alone changes nothing.`
    : `${both} are joined by this link alone: rejecting it separates them.`;
}

/**
 * What new choices changed.
 * @param {Review} review  after them
 * @param {Link} link
 * @param {number} many how many links between its two names were changed
 * @param {number[]} before  groups before them
 */
export function describeChange(review, link, many, before) {
  const after = groupNames(review);
  const done = `${many === 1 ? "Link" : formatCounted(many, "link")} ${link.accepted ? "accepted" : "rejected"}. `;
  const people = `${formatCounted(countGroups(after), "person", "people")} now.`;
  const [first, other] = [nameGroup(review, after, link.a), nameGroup(review, after, link.b)];
  if (countGroups(after) > countGroups(before)) return `${done}${first} and ${other} are separated: ${people}`;
  if (countGroups(after) < countGroups(before)) return `${done}${first} are one person: ${people}`;
  return after[link.a] === after[link.b]
    ? `${done}Nothing changes: ${nameBoth(review, link)} ${link.accepted ? "were" : "stay"} joined ${describeBond(review, link)}.`
    : `${done}Nothing changes.`;
}

/**
 * The file that `--groups` takes: each name and its group.
 * @param {Review} review
 */
export function writeGroups(review) {
  const groups = groupNames(review);
  return writeCsv(["subject", "group"], review.names.map((name, place) => [name, nameGroup(review, groups, place)]));
}

/**
 * Every link with its choice, as CSV.
 * @param {Review} review
 */
export function writeLinks({ names, links }) {
  const columns = ["image", "other", "subject", "other_subject", "evidence", "correlation", "choice"];
  return writeCsv(columns, links.map((link) => [
    link.image, link.other, pick(names, link.a), pick(names, link.b), link.evidence, link.correlation,
    link.accepted ? "accepted" : "rejected",
  ]));
}
