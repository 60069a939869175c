/**
 * What is dropped or chosen → pictures: files, folders, and zips opened here in the browser.
 *
 * @typedef {import("./engine.js").Picture} Picture
 * @typedef {{path: string, file: Blob}} Listed
 * @typedef {{pictures: Picture[], skipped: string[], faults: string[], markers: string[]}} Found
 *   skipped: paths of other files; faults: zips that cannot be opened, in a sentence each; markers: folders of
 *   simulated cells
 *
 * @typedef {object} Rules
 * @property {string[]} suffixes   of images, lower case
 * @property {string} simulated    name of the file that lies beside simulated cells
 * @property {number} largest      bytes of an image in a zip
 * @property {string[]} classWords folders that name a class, lower case
 */

import { formatCounted } from "./formatting.js";
import { findFolders } from "./naming.js";
import { listZip, unpack } from "./unzipping.js";

/** Of systems and programs, as `_PRIVATE` of io/sources.py. */
const PRIVATE = ["__macosx", "__pycache__", "$recycle.bin", "system volume information", "@eadir", "lost+found", "thumbs.db", "desktop.ini"];

/** What other files are, and what to do with them. */
const KINDS = [
  { what: "archive", suffixes: ["rar", "7z", "tar", "gz", "tgz", "bz2", "xz", "zst"], advice: "the page opens zips only. Unpack it, and drop the folder." },
  { what: "zip within a zip", suffixes: ["zip"], advice: "unpack the outer one, and drop the folder." },
  { what: "document", suffixes: ["pdf", "doc", "docx", "ppt", "pptx", "odt", "odp", "rtf"], advice: "the page takes images. Save each cell in it as a PNG image, and drop these." },
  { what: "file of a scanner or microscope", suffixes: ["svs", "ndpi", "mrxs", "czi", "lif", "nd2", "scn", "vsi", "dcm"], advice: "export single cells from it as PNG images, and drop these." },
  { what: "photograph in a format that is not read", suffixes: ["heic", "heif", "avif", "dng", "cr2", "nef", "arw", "jp2"], advice: "save it as PNG, and cut out single cells." },
  { what: "table", suffixes: ["csv", "tsv", "xls", "xlsx", "ods"], advice: "the page takes images. `leukoscope evaluate` and `aggregate` take tables." },
];

/**
 * The files of a drop, folders opened.
 * @param {DataTransfer} dropped
 * @returns {Promise<{path: string, file: File}[]>}
 */
export async function listDropped(dropped) {
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map((entry) => listEntry(entry)))).flat();
}

/**
 * @param {FileSystemEntry} entry
 * @returns {Promise<{path: string, file: File}[]>}
 */
async function listEntry(entry) {
  if (entry.isFile) {
    const file = await new Promise((done, fail) => /** @type {FileSystemFileEntry} */ (entry).file(done, fail));
    return [{ path: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((done, fail) => reader.readEntries(done, fail)); // a hundred at a time
    if (!some.length) break;
    found.push(...(await Promise.all(some.map(listEntry))).flat());
  }
  return found;
}

/**
 * The files of an input element.
 * @param {Iterable<File>} files
 */
export function listChosen(files) {
  return [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/**
 * Files → pictures, in natural order of their paths.
 * @param {Listed[]} files
 * @param {Rules} rules
 * @returns {Promise<Found>}
 */
export async function findPictures(files, rules) {
  /** @type {Found} */
  const found = { pictures: [], skipped: [], faults: [], markers: [] };
  for (const { path, file } of files) {
    if (isHidden(path)) continue;
    if (path.toLowerCase().endsWith(".zip")) await openZip(found, file, path, rules);
    else sortFile(found, path, async () => file, rules);
  }
  const order = new Intl.Collator("en", { numeric: true });
  found.pictures.sort((a, b) => order.compare(a.path, b.path));
  const folders = findFolders(found.pictures.map(({ path }) => path), rules.classWords);
  found.pictures.forEach((picture, place) => {
    picture.folder = folders[place] ?? "";
    picture.simulated = found.markers.some((folder) => picture.path.startsWith(folder));
  });
  return found;
}

/**
 * @param {Found} found
 * @param {string} path
 * @param {Picture["open"]} open
 * @param {Rules} rules
 */
function sortFile(found, path, open, { suffixes, simulated }) {
  const name = path.split("/").at(-1) ?? "";
  if (name === simulated) found.markers.push(path.slice(0, -name.length));
  else if (suffixes.some((suffix) => name.toLowerCase().endsWith(suffix))) {
    found.pictures.push({ name: path, path, folder: "", simulated: false, open });
  } else found.skipped.push(path);
}

/**
 * What was left out, and what to do about it: a sentence each.
 * @param {Pick<Found, "skipped" | "faults">} found
 */
export function describeSkipped({ skipped, faults }) {
  const others = new Set(skipped);
  const words = [...faults];
  for (const { what, suffixes, advice } of KINDS) {
    const those = skipped.filter((path) => suffixes.includes(path.split(".").at(-1)?.toLowerCase() ?? ""));
    for (const path of those) others.delete(path);
    if (those.length) words.push(`${formatCounted(those.length, what)} (${listFew(those)}) skipped: ${advice}`);
  }
  if (others.size) words.push(`${formatCounted(others.size, "file")} (${listFew([...others])}) skipped: not an image.`);
  return words;
}

/** @param {string[]} paths */
function listFew(paths) {
  const names = paths.slice(0, 2).map((path) => path.split("/").at(-1));
  return names.join(", ") + (paths.length > 2 ? ", …" : "");
}

/** @param {string} path */
function isHidden(path) {
  return path.split("/").some((part) => part.startsWith(".") || PRIVATE.includes(part.toLowerCase()));
}

/**
 * A cell's own picture: the image, or its box where the image holds several cells.
 * @param {Picture} picture
 * @param {Pick<import("./engine.js").Row, "cell" | "box">} row
 */
export async function openCell({ open }, { cell, box }) {
  const whole = await open();
  if (!cell || !box) return whole;
  const cut = await createImageBitmap(whole, ...box);
  const canvas = new OffscreenCanvas(cut.width, cut.height);
  canvas.getContext("2d")?.drawImage(cut, 0, 0);
  return canvas.convertToBlob();
}

/**
 * Add the images of a zip; each is unpacked when it is opened.
 * @param {Found} found
 * @param {Blob} zip
 * @param {string} path
 * @param {Rules} rules
 */
async function openZip(found, zip, path, rules) {
  try {
    for (const entry of await listZip(zip, path)) {
      const parts = entry.name.replaceAll("\\", "/").split("/");
      if (parts.includes("..") || parts[0] === "") throw new Error(`${path}: unsafe path ${entry.name} in the zip.`);
      const inside = parts.join("/");
      if (inside.endsWith("/") || isHidden(inside)) continue;
      if (entry.size > rules.largest) found.faults.push(`${path}/${inside}: too large for one image, skipped.`);
      else sortFile(found, `${path}/${inside}`, () => unpack(zip, entry), rules);
    }
  } catch (error) {
    found.pictures = found.pictures.filter((picture) => !picture.path.startsWith(`${path}/`));
    found.faults.push(error instanceof Error ? error.message : String(error));
  }
}
