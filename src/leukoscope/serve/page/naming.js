/**
 * Whose a cell is: by its name, by its folder, or as the reader says. Nothing in here touches the document.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {{cell: Cell, subject: string, source: Cell["source"]}[]} Before  to take a change back
 */

/**
 * The folder that tells one subject's files from another's, for each path of a drop, or "".
 *
 * Folders named after a class are none; a zip is one. It is the first folder below those that all
 * paths share; where all lie in the same one, that one.
 * @param {string[]} paths
 * @param {string[]} classWords  lower case
 */
export function findFolders(paths, classWords) {
  const folders = paths.map((path) => path.split("/").slice(0, -1).map(nameFolder)
    .filter((folder) => !classWords.includes(folder.toLowerCase())));
  const [first = []] = folders;
  const differs = first.findIndex((folder, place) => folders.some((other) => other[place] !== folder));
  const shared = differs < 0 ? first.length : differs;
  const alike = folders.every(({ length }) => length === shared);
  return folders.map((own) => own[alike ? shared - 1 : shared] ?? "");
}

/**
 * A folder's name, of a zip's without ".zip".
 * @param {string} part  of a path
 */
export function nameFolder(part) {
  return part.replace(/\.zip$/i, "");
}

/**
 * A folder is the subject of its cells where no name in it gives one; what was entered by hand stays.
 * @param {Cell[]} cells
 */
export function nameByFolder(cells) {
  const mixed = new Set(cells.filter(({ source }) => source === "name").map(({ folder }) => folder));
  for (const cell of cells) {
    if (cell.source !== "" || !cell.folder || mixed.has(cell.folder)) continue;
    [cell.subject, cell.source] = [cell.folder, "folder"];
  }
}

/**
 * Give cells a subject by hand.
 * @param {Cell[]} cells
 * @param {string} name  "" for none
 * @returns {Before}
 */
export function setSubject(cells, name) {
  const before = cells.map((cell) => ({ cell, subject: cell.subject, source: cell.source }));
  for (const cell of cells) [cell.subject, cell.source] = [name, "hand"];
  return before;
}

/** @param {Before} before */
export function restoreSubjects(before) {
  for (const { cell, subject, source } of before) [cell.subject, cell.source] = [subject, source];
}

/**
 * Note which cells have equal pixels under two names. Returns how many of the new ones have, and one pair of names.
 * @param {Cell[]} cells
 * @param {Set<Cell>} added  those that are new
 */
export function markTwins(cells, added) {
  /** @type {Map<string, Cell>} */
  const firsts = new Map();
  /** @type {{count: number, example: [string, string] | null}} */
  const found = { count: 0, example: null };
  for (const cell of cells) {
    const first = firsts.get(cell.crop);
    if (!cell.crop) continue;
    if (!first) {
      firsts.set(cell.crop, cell);
      continue;
    }
    [cell.twin, first.twin] = [first.image, first.twin || cell.image];
    if (!added.has(cell)) continue;
    found.count += 1;
    found.example ??= [cell.image, first.image];
  }
  return found;
}

/**
 * A name that is not taken: "a.bmp" → "a (2).bmp", "Anna" → "Anna (2)".
 * @param {string} name
 * @param {(name: string) => boolean} isTaken
 * @param {number} [end]  where the number goes; by default before the suffix
 */
export function findFreeName(name, isTaken, end = findSuffix(name)) {
  for (let number = 2; ; number += 1) {
    const free = `${name.slice(0, end)} (${number})${name.slice(end)}`;
    if (!isTaken(free)) return free;
  }
}

/** @param {string} name */
function findSuffix(name) {
  const dot = name.lastIndexOf(".");
  return dot > name.lastIndexOf("/") + 1 ? dot : name.length;
}
