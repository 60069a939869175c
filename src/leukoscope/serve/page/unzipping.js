/**
 * Zips: their directory, and one member at a time.
 *
 * @typedef {{name: string, method: number, packed: number, size: number, offset: number}} Entry
 */

/**
 * @param {Blob} zip
 * @param {string} called
 * @returns {Promise<Entry[]>}
 */
export async function listZip(zip, called) {
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
export async function unpack(zip, { name, method, packed, size, offset }) {
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
