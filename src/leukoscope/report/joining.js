/**
 * Which names are one person, by links accepted and rejected; nothing in here touches the document.
 *
 * @typedef {{ a: number, b: number, image: string, other: string, evidence: number | null,
 *   correlation: number | null, equal: boolean, accepted: boolean }} Link
 *   a and b are places in `names`; equal: the pixels are; accepted: the verdict.
 * @typedef {{ names: string[], fixed: [number, number][], links: Link[], file: string }} Judging
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
 * @param {Judging} judging
 * @param {number} [without] a link to leave out
 */
export function groupNames(judging, without) {
  return joinNames(judging.names.length, listEdges(judging, without));
}

/**
 * @param {Judging} judging
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
 * @param {Judging} judging
 * @param {number[]} groups
 * @param {number} place  of one of its names
 */
export function nameGroup({ names }, groups, place) {
  return names.filter((_, other) => groups[other] === groups[place]).join("+");
}

/**
 * @param {Judging} judging
 * @param {Link} link
 * @param {string} [word]
 */
export function nameBoth({ names }, { a, b }, word = " and ") {
  return `${pick(names, Math.min(a, b))}${word}${pick(names, Math.max(a, b))}`;
}

/**
 * Places of all links between the same two names.
 * @param {Judging} judging
 * @param {Link} link
 */
export function listBetween({ links }, { a, b }) {
  return links.flatMap((link, place) =>
    (link.a === a && link.b === b) || (link.a === b && link.b === a) ? [place] : []);
}

/**
 * The names on the shortest way from one name to another.
 * @param {Judging} judging
 * @param {Link} link
 */
function findWay(judging, { a: from, b: to }) {
  /** @type {Map<number, number>} */
  const before = new Map([[from, from]]);
  const edges = listEdges(judging);
  for (const place of before.keys()) {
    for (const [a, b] of edges) {
      const next = a === place ? b : b === place ? a : place;
      if (!before.has(next)) before.set(next, place);
    }
  }
  const way = [];
  for (let place = before.get(to) ?? from; place !== from; place = before.get(place) ?? from) way.unshift(place);
  return way.map((place) => pick(judging.names, place));
}

/**
 * Why a link's names are joined, whatever its own verdict.
 * @param {Judging} judging
 * @param {Link} link
 */
function describeBond(judging, link) {
  const others = listBetween(judging, link).map((place) => pick(judging.links, place))
    .filter((other) => other.accepted && other !== link).length;
  if (others) return `by ${formatCounted(others, "other link")}`;
  const way = findWay(judging, link);
  return way.length ? `through ${way.join(", ")}` : `by ${judging.file}`;
}

/**
 * What a link decides as things stand.
 * @param {Judging} judging
 * @param {number} place
 */
export function describeHold(judging, place) {
  const link = pick(judging.links, place), both = nameBoth(judging, link);
  const groups = groupNames(judging), without = groupNames(judging, place);
  if (groups[link.a] !== groups[link.b]) return `Rejected: ${both} are two persons now.`;
  if (!link.accepted) return `Rejected; ${both} are joined ${describeBond(judging, link)}.`;
  return without[link.a] === without[link.b]
    ? `${both} are also joined ${describeBond(judging, link)}: rejecting this link alone changes nothing.`
    : `${both} are joined by this link alone: rejecting it separates them.`;
}

/**
 * What new verdicts changed.
 * @param {Judging} judging  after them
 * @param {Link} link
 * @param {number} many how many links between its two names were changed
 * @param {number[]} before  groups before them
 */
export function describeChange(judging, link, many, before) {
  const after = groupNames(judging);
  const verdict = `${many === 1 ? "Link" : formatCounted(many, "link")} ${link.accepted ? "accepted" : "rejected"}. `;
  const persons = `${formatCounted(countGroups(after), "person")} now.`;
  const [first, other] = [nameGroup(judging, after, link.a), nameGroup(judging, after, link.b)];
  if (countGroups(after) > countGroups(before)) return `${verdict}${first} and ${other} are separated: ${persons}`;
  if (countGroups(after) < countGroups(before)) return `${verdict}${first} are one person: ${persons}`;
  return after[link.a] === after[link.b]
    ? `${verdict}Nothing changes: ${nameBoth(judging, link)} ${link.accepted ? "were" : "stay"} joined ${describeBond(judging, link)}.`
    : `${verdict}Nothing changes.`;
}

/**
 * The file that `--groups` takes: each name and its group.
 * @param {Judging} judging
 */
export function writeGroups(judging) {
  const groups = groupNames(judging);
  return writeCsv(["subject", "group"], judging.names.map((name, place) => [name, nameGroup(judging, groups, place)]));
}

/**
 * Every link with its verdict, as CSV.
 * @param {Judging} judging
 */
export function writeLinks({ names, links }) {
  const columns = ["image", "other", "subject", "other_subject", "evidence", "correlation", "verdict"];
  return writeCsv(columns, links.map((link) => [
    link.image, link.other, pick(names, link.a), pick(names, link.b), link.evidence, link.correlation,
    link.accepted ? "accepted" : "rejected",
  ]));
}
