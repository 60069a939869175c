/**
 * Pictures that come to the page: known by path and content, one list after another.
 *
 * @typedef {import("./engine.js").Picture} Picture
 *
 * @typedef {object} Intake
 * @property {Map<string, Picture[]>} known  by path
 * @property {Set<string>} names     on the page
 * @property {Set<string>} folders   of the pictures on the page
 * @property {Picture[]} left        that the server did not predict
 * @property {string} reason         why it did not
 * @property {number} waiting        lists that are under way, or wait for it
 * @property {Promise<void>} turn    when the last of them is done
 *
 * @typedef {{fresh: Picture[], repeated: number, renamed: string[]}} Admitted  renamed: a sentence each
 */

import { formatCount, formatCounted } from "./formatting.js";
import { findFreeName, nameFolder } from "./naming.js";

/** @returns {Intake} */
export function buildIntake() {
  return { known: new Map(), names: new Set(), folders: new Set(), left: [], reason: "", waiting: 0, turn: Promise.resolve() };
}

/** @param {Intake} intake */
export function clearIntake(intake) {
  intake.known.clear();
  intake.names.clear();
  intake.folders.clear();
  intake.left = [];
}

/**
 * Do some work when all that was asked for before is done.
 * @param {Intake} intake
 * @param {() => Promise<void>} work
 */
export function takeTurn(intake, work) {
  intake.waiting += 1;
  intake.turn = intake.turn.then(work).finally(() => {
    intake.waiting -= 1;
  });
  return intake.turn;
}

/**
 * Pictures that are not on the page yet. One with the path of another but other content gets a name
 * of its own; so does a whole folder, where nothing in it is known.
 * @param {Intake} intake
 * @param {Picture[]} pictures
 * @returns {Promise<Admitted>}
 */
export async function admit(intake, pictures) {
  /** @type {Picture[]} */
  const fresh = [];
  const clashing = new Set(), familiar = new Set(); // pictures; folders
  for (const picture of pictures) {
    const before = intake.known.get(picture.path) ?? [];
    if (await isAmong(picture, before)) {
      familiar.add(picture.folder);
      continue;
    }
    if (before.length) clashing.add(picture);
    intake.known.set(picture.path, [...before, picture]);
    fresh.push(picture);
  }
  const others = new Set(fresh.filter((picture) => clashing.has(picture) && !familiar.has(picture.folder)).map(({ folder }) => folder));
  const renamed = [...others].filter(Boolean).map((folder) => renameFolder(intake, folder, fresh));
  const alone = fresh.filter((picture) => clashing.has(picture) && intake.names.has(picture.name));
  for (const picture of alone) picture.name = findFreeName(picture.path, (name) => intake.names.has(name));
  for (const { name, folder } of fresh) intake.names.add(name) && intake.folders.add(folder);
  const [first] = alone;
  if (first) renamed.push(`${formatCounted(alone.length, "image has", "images have")} the name of another on the page, but other content, and so a new name: ${first.name}${alone.length > 1 ? ", …" : ""}.`);
  return { fresh, repeated: pictures.length - fresh.length, renamed };
}

/**
 * @param {Intake} intake
 * @param {string} folder
 * @param {Picture[]} fresh
 */
function renameFolder({ folders }, folder, fresh) {
  const free = findFreeName(folder, (name) => folders.has(name), folder.length);
  for (const picture of fresh.filter((one) => one.folder === folder)) {
    const parts = picture.path.split("/");
    parts[parts.findIndex((part) => nameFolder(part) === folder)] = free;
    Object.assign(picture, { name: parts.join("/"), folder: free });
  }
  return `A folder ${folder} with other images was on the page; this one is kept apart as ${free}.`;
}

/**
 * Whether a picture has the bytes of one of some others.
 * @param {Picture} picture
 * @param {Picture[]} others
 */
async function isAmong(picture, others) {
  for (const other of others) {
    const [one, two] = await Promise.all([picture.open(), other.open()].map((opening) => opening.catch(() => null)));
    if (!one || !two || one.size !== two.size) continue;
    const [a, b] = [new Uint8Array(await one.arrayBuffer()), new Uint8Array(await two.arrayBuffer())];
    if (a.every((byte, place) => byte === b[place])) return true;
  }
  return false;
}

/**
 * What became of the pictures, in one sentence.
 * @param {{predicted: number, failed: number, left: number, repeated: number}} counts  of images
 */
export function describeTaken({ predicted, failed, left, repeated }) {
  const all = predicted + failed + left;
  if (!all) return repeated ? `${formatCounted(repeated, "image")} already on the page.` : "No image found.";
  const rest = [
    failed && `${formatCount(failed)} without a prediction (unreadable, or no cell)`,
    left && `${formatCount(left)} not predicted by the server`,
    repeated && `${formatCount(repeated)} already on the page`,
  ].filter(Boolean);
  const done = predicted === all ? `${formatCounted(all, "image")} predicted` : `${formatCount(predicted)} of ${formatCounted(all, "image")} predicted`;
  return `${[done, ...rest].join("; ")}.`;
}
