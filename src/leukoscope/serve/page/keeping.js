/**
 * Subjects and calls that were entered by hand, kept in this tab so that a reload loses none.
 *
 * They stay in the browser (`sessionStorage`, gone with the tab), and return with the same images.
 *
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {Pick<Cell, "subject" | "source" | "reading" | "mode">} Entered
 */

const KEY = "entered";

/** @returns {Map<string, Entered>} by cell */
function readKept() {
  try {
    return new Map(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"));
  } catch {
    return new Map(); // not ours
  }
}

/** @param {Cell} cell */
export function isEntered({ source, reading }) {
  return source === "hand" || reading !== null;
}

/**
 * By its pixels too: another cell under the same name is another cell.
 * @param {Cell} cell
 */
function nameKept({ image, cell, crop }) {
  return `${image}\n${cell}\n${crop}`;
}

/** @param {Cell[]} cells  of the page */
export function keepEntered(cells) {
  const kept = readKept();
  for (const cell of cells) {
    const { subject, source, reading, mode } = cell;
    if (isEntered(cell)) kept.set(nameKept(cell), { subject, source, reading, mode });
    else kept.delete(nameKept(cell));
  }
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...kept]));
  } catch {
    // full: leaving the page still warns
  }
}

/**
 * Give cells what was entered for them before. Returns for how many.
 * @param {Cell[]} cells
 */
export function restoreEntered(cells) {
  const kept = readKept();
  let found = 0;
  for (const cell of cells) {
    const before = kept.get(nameKept(cell));
    if (!before) continue;
    cell.reading = before.reading;
    cell.mode = before.mode;
    if (before.source === "hand") Object.assign(cell, { subject: before.subject, source: "hand" });
    found += 1;
  }
  return found;
}

export function forgetEntered() {
  sessionStorage.removeItem(KEY);
}
