/**
 * What is dropped or chosen → pictures: files, folders, and zips opened here in the browser.
 *
 * @typedef {import("./engine.js").Picture} Picture
 * @typedef {{pictures: Picture[], passedOver: number, simulated: boolean}} Found
 *
 * @typedef {object} Rules
 * @property {string[]} suffixes   of images, lower case
 * @property {string} simulated    name of the file that lies beside simulated cells
 * @property {number} largest      bytes of an image in a zip
 */

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
 * Files → pictures, in natural order of their names.
 * @param {{path: string, file: Blob}[]} files
 * @param {Rules} rules
 * @returns {Promise<Found>}
 * @throws {Error} a zip that cannot be opened, in one sentence
 */
export async function findPictures(files, rules) {
  /** @type {Found} */
  const found = { pictures: [], passedOver: 0, simulated: false };
  for (const { path, file } of files) {
    const name = path.split("/").at(-1) ?? "";
    if (name.toLowerCase().endsWith(".zip")) {
      const inside = await openZip(file, name, rules);
      found.pictures.push(...inside.pictures);
      found.passedOver += inside.passedOver;
      found.simulated ||= inside.simulated;
    } else if (isImage(name, rules) && !name.startsWith(".")) {
      found.pictures.push({ name: path, open: async () => file });
    } else if (name === rules.simulated) {
      found.simulated = true;
    } else {
      found.passedOver += 1;
    }
  }
  const order = new Intl.Collator("en", { numeric: true });
  found.pictures.sort((a, b) => order.compare(a.name, b.name));
  return found;
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
 * @param {string} name
 * @param {Rules} rules
 */
function isImage(name, { suffixes }) {
  return suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));
}

/**
 * The images of a zip; each is unpacked when it is opened.
 * @param {Blob} zip
 * @param {string} called
 * @param {Rules} rules
 * @returns {Promise<Found>}
 */
async function openZip(zip, called, rules) {
  /** @type {Found} */
  const found = { pictures: [], passedOver: 0, simulated: false };
  for (const entry of await listZip(zip, called)) {
    const parts = entry.name.replaceAll("\\", "/").split("/");
    const name = parts.at(-1) ?? "";
    if (parts.includes("..") || parts[0] === "") throw new Error(`${called}: unsafe path ${entry.name} in the zip.`);
    if (!name || name.startsWith(".") || parts.includes("__MACOSX")) continue;
    if (name === rules.simulated) found.simulated = true;
    else if (isImage(name, rules) && entry.size <= rules.largest) {
      found.pictures.push({ name: parts.join("/"), open: () => unpack(zip, entry) });
    } else found.passedOver += 1;
  }
  return found;
}

/**
 * @typedef {{name: string, method: number, packed: number, size: number, offset: number}} Entry
 *
 * @param {Blob} zip
 * @param {string} called
 * @returns {Promise<Entry[]>}
 */
async function listZip(zip, called) {
  const damaged = new Error(`${called}: not a zip that can be read. Download it again.`);
  const tail = await view(zip, Math.max(0, zip.size - 65_557), zip.size);
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw damaged;
  const count = tail.getUint16(end + 10, true), at = tail.getUint32(end + 16, true);
  if (count === 0xffff || at === 0xffffffff) throw new Error(`${called}: the zip is too large for the page. Unpack it and drop the folder.`);
  const directory = await view(zip, at, at + tail.getUint32(end + 12, true));
  const entries = [];
  try {
    for (let i = 0, place = 0; i < count; i += 1) {
      if (directory.getUint32(place, true) !== 0x02014b50) throw damaged;
      const { entry, next } = readEntry(directory, place, called);
      entries.push(entry);
      place = next;
    }
  } catch (error) {
    throw error instanceof RangeError ? damaged : error;
  }
  return entries;
}

/**
 * One record of a zip's directory, and where the next one begins.
 * @param {DataView} directory
 * @param {number} place
 * @param {string} called
 * @returns {{entry: Entry, next: number}}
 */
function readEntry(directory, place, called) {
  if (directory.getUint16(place + 8, true) & 1) throw new Error(`${called}: encrypted. Unpack it first.`);
  const nameLength = directory.getUint16(place + 28, true);
  const rest = directory.getUint16(place + 30, true) + directory.getUint16(place + 32, true);
  return {
    entry: {
      name: new TextDecoder().decode(new Uint8Array(directory.buffer, place + 46, nameLength)),
      method: directory.getUint16(place + 10, true),
      packed: directory.getUint32(place + 20, true),
      size: directory.getUint32(place + 24, true),
      offset: directory.getUint32(place + 42, true),
    },
    next: place + 46 + nameLength + rest,
  };
}

/**
 * @param {Blob} zip
 * @param {Entry} entry
 */
async function unpack(zip, { name, method, packed, size, offset }) {
  const head = await view(zip, offset, offset + 30);
  const start = offset + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const data = zip.slice(start, start + packed);
  if (method === 0) return data;
  if (method !== 8) throw new Error(`${name}: its compression method is not supported. Unpack the zip and drop the folder.`);
  const reader = data.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const chunks = [];
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.length;
    if (bytes > size) throw new Error(`${name}: larger than the zip states. Download it again.`); // a bomb
    chunks.push(part.value);
  }
  return new Blob(chunks);
}

/**
 * @param {Blob} blob
 * @param {number} start
 * @param {number} end
 */
async function view(blob, start, end) {
  return new DataView(await blob.slice(start, end).arrayBuffer());
}
