/**
 * What answers for pictures. The page knows this interface alone; the engine below asks our server,
 * and one that runs the exported network within the browser fits the same four functions.
 *
 * @typedef {object} Picture
 * @property {string} name
 * @property {() => Promise<Blob>} open  its file's bytes, read when needed
 *
 * @typedef {object} Row
 * @property {string} image
 * @property {string} cell   names the cell within the image; "" where the image is the cell
 * @property {[number, number, number, number] | null} box  left, top, width, height in the image
 * @property {number | null} probability
 * @property {string} call
 * @property {"leukaemic" | "normal" | "uncertain" | "error"} conformal_call
 * @property {string} warnings
 * @property {string} subject    as its name gives it, or ""
 * @property {string} model      name of the model file
 *
 * @typedef {object} Explained
 * @property {string} layer      the map: a PNG in base64, clear but for its colours
 * @property {boolean} passes_check  whether it scores higher than every map that knows nothing; else it is not to be shown
 * @property {string} check_words
 * @property {string} flat       what is said of the cell without its detail
 * @property {{title: string, words: string, percentiles: Partial<Record<"leukaemic" | "normal", {words: string}>>}[]} measures
 *   without percentiles where the model has none of its training cells
 * @property {string} reference  the cells that percentiles are among, or why there are none
 *
 * @typedef {object} Facts  as `Facts` of serve/contract.py, where each is described
 * @property {string} dataset
 * @property {string} images
 * @property {number} frame_px
 * @property {string} naming
 * @property {{slope: number, intercept: number} | null} subject_line
 * @property {number} min_cells
 * @property {number} called_from
 * @property {number} most_warned
 * @property {number} probability_floor
 * @property {number} confidence
 * @property {number} wilson_z
 * @property {number} coverage
 * @property {number} sensitivity
 * @property {string[]} image_suffixes
 * @property {string} simulated_file
 * @property {string} simulated_banner
 * @property {Record<"leukaemic" | "normal", string>} colours
 *
 * @typedef {{request_bytes: number, images: number, image_bytes: number}} Limits  those that the page heeds
 *
 * @typedef {object} Model
 * @property {number} threshold
 * @property {number} sensitive_threshold
 * @property {string | null} expected   what to expect on new people, in words
 * @property {string} notice
 * @property {string} version
 * @property {{recipe: string, fingerprint: string}} metadata
 * @property {Facts} facts
 * @property {Limits} limits
 *
 * @typedef {object} Engine
 * @property {() => Promise<Model>} describe
 * @property {(pictures: Picture[], limits: Limits, onRows: (rows: Row[][], first: number) => void) => Promise<void>} predict
 *   calls `onRows` with the rows, one a cell, of pictures[first], pictures[first + 1], …, in any order of requests
 * @property {(picture: Picture, cell: string, threshold: number, signal: AbortSignal) => Promise<Explained>} explain
 *   what the answer for a cell rests on, called at the threshold; takes seconds, ends early by the signal
 * @property {() => Promise<Blob>} drawSamples   a zip of simulated cells
 *
 * @typedef {(path: string, options?: RequestInit) => Promise<Response>} Ask
 */

// How the page asks, whatever the server allows.
const IMAGES = 16; // in one request: small enough for the bar to move
const BYTES = 24_000_000;
const REQUESTS = 2; // at once: one is answered while the next one travels
const TRIES = 5;

/** The server wants its token. */
export class TokenError extends Error {}

/**
 * The engine that asks the server which this page came from.
 * @param {() => string} readToken  "" where there is none
 * @returns {Engine}
 */
export function connectServer(readToken) {
  /** @type {Ask} */
  const ask = (path, options) => askServer(path, readToken(), options);
  return {
    describe: async () => (await ask("v1/model")).json(),
    drawSamples: async () => (await ask("v1/samples.zip")).blob(),
    explain: async ({ name, open }, cell, threshold, signal) => {
      const asked = new URLSearchParams({ threshold: String(threshold), ...(cell && { cell }) });
      const body = new FormData();
      body.append("files", await open(), toImageName(name));
      return (await ask(`v1/explain?${asked}`, { method: "POST", body, signal })).json();
    },
    predict: async (pictures, limits, onRows) => {
      const parts = cutParts(pictures, limits);
      await Promise.all(Array.from({ length: REQUESTS }, () => predictParts(ask, parts, onRows)));
    },
  };
}

/**
 * Ask again while the server is busy.
 * @param {string} path
 * @param {string} token
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function askServer(path, token, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
  for (let attempt = 1; ; attempt += 1) {
    /** @type {Response | null} */
    const answer = await fetch(path, { ...options, headers }).catch(() => null);
    options.signal?.throwIfAborted();
    if (answer?.ok) return answer;
    if (answer?.status === 401) throw new TokenError("Enter the server’s token.");
    const busy = !answer || answer.status === 503; // a full server may close before it answers
    if (!busy || attempt === TRIES) throw new Error(await readRefusal(answer));
    await new Promise((wake) => setTimeout(wake, 1000 * Number(answer?.headers.get("Retry-After") ?? attempt)));
  }
}

/**
 * Take one request after another, until none is left.
 * @param {Ask} ask
 * @param {ReturnType<typeof cutParts>} parts
 * @param {(rows: Row[][], first: number) => void} onRows
 */
async function predictParts(ask, parts, onRows) {
  for (let part = await parts.next(); !part.done; part = await parts.next()) {
    const { first, files } = part.value;
    const body = new FormData();
    for (const { name, blob } of files) body.append("files", blob, name);
    const { rows } = await (await ask("v1/predict", { method: "POST", body })).json();
    onRows(groupRows(rows, files.length), first);
  }
}

/**
 * Rows in the order of the images → those of each image: a new one begins with another name, or
 * where a cell's name comes again.
 * @param {Row[]} rows
 * @param {number} images
 */
function groupRows(rows, images) {
  /** @type {Row[][]} */
  const found = [];
  for (const row of rows) {
    const last = found.at(-1);
    if (last?.every(({ image, cell }) => image === row.image && cell !== row.cell)) last.push(row);
    else found.push([row]);
  }
  if (found.length === images) return found;
  throw new Error(`The server predicted ${found.length} of ${images} images. Do all have names of their own?`);
}

/**
 * Pictures → requests, opened when their turn comes.
 * @param {Picture[]} pictures
 * @param {Limits} limits
 */
async function* cutParts(pictures, limits) {
  const most = Math.min(IMAGES, limits.images), full = Math.min(BYTES, limits.request_bytes / 2);
  /** @type {{name: string, blob: Blob}[]} */
  let files = [];
  let first = 0, bytes = 0;
  for (const [place, { name, open }] of pictures.entries()) {
    const blob = await open().catch(() => new Blob()); // predicted as an empty file
    if (files.length === most || (files.length && bytes + blob.size > full)) {
      yield { first, files };
      [files, first, bytes] = [[], place, 0];
    }
    files.push({ name: toImageName(name), blob });
    bytes += blob.size;
  }
  if (files.length) yield { first, files };
}

/**
 * A name under which the server takes a file for one image.
 * @param {string} name
 */
function toImageName(name) {
  return name.toLowerCase().endsWith(".zip") ? `${name}.bmp` : name;
}

/** @param {Response | null} answer */
async function readRefusal(answer) {
  if (!answer) return "The server cannot be reached. Is it still running?";
  const words = await answer.json().catch(() => ({}));
  return words.detail ?? `The server answered with ${answer.status}.`;
}
