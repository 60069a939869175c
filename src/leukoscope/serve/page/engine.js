/**
 * What answers for pictures. The page knows this interface alone; the engine below asks our server,
 * and one that runs the exported network within the browser fits the same four functions.
 *
 * @typedef {object} Picture
 * @property {string} name   its own on the page
 * @property {string} path   as its file was found; by it the server reads the subject
 * @property {string} folder the folder that may name its subject, or ""
 * @property {boolean} simulated  whether our simulator drew it
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
 * @property {string} crop_hash  equal for equal pixels, or ""
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
 * @property {number} certain_from
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
 * @property {string[]} class_words
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
 * @property {(pictures: Picture[], limits: Limits, onRows: (rows: Row[][], of: Picture[]) => void) => Promise<Left>} predict
 *   calls `onRows` with the rows of some pictures, one a cell, in any order of requests; never fails
 * @property {(picture: Picture, cell: string, threshold: number, signal: AbortSignal) => Promise<Explained>} explain
 *   what the answer for a cell rests on, called at the threshold; takes seconds, ends early by the signal
 * @property {() => Promise<Blob>} drawSamples   a zip of simulated cells
 *
 * @typedef {{pictures: Picture[], reason: Error | null}} Left  pictures without a prediction, and why
 * @typedef {{pictures: Picture[], files: {name: string, blob: Blob}[]}} Part  of the pictures: one request
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

/** The server refuses this request; another may be answered. */
class RefusedError extends Error {}

/**
 * The engine that asks the server which this page came from.
 * @param {() => string} readToken  "" where there is none
 * @param {() => void} onWait  the server is busy or gone: it is asked again
 * @param {string} [base]  before the paths of another network on the same server
 * @returns {Engine}
 */
export function connectServer(readToken, onWait, base = "") {
  /** @type {Ask} */
  const ask = (path, options) => askServer(base + path, readToken(), onWait, options);
  return {
    describe: async () => (await ask("v1/model")).json(),
    drawSamples: async () => (await ask("v1/samples.zip")).blob(),
    explain: async ({ path, open }, cell, threshold, signal) => {
      const asked = new URLSearchParams({ threshold: String(threshold), ...(cell && { cell }) });
      const body = new FormData();
      body.append("files", await open(), toImageName(path));
      return (await ask(`v1/explain?${asked}`, { method: "POST", body, signal })).json();
    },
    predict: (pictures, limits, onRows) => predictAll(ask, pictures, limits, onRows),
  };
}

/**
 * Ask again while the server is busy.
 * @param {string} path
 * @param {string} token
 * @param {() => void} onWait
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function askServer(path, token, onWait, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
  for (let attempt = 1; ; attempt += 1) {
    /** @type {Response | null} */
    const answer = await fetch(path, { ...options, headers }).catch(() => null);
    options.signal?.throwIfAborted();
    if (answer?.ok) return answer;
    if (answer?.status === 401) throw new TokenError("Enter the server’s token.");
    const busy = !answer || answer.status === 503; // a full server may close before it answers
    if (answer && !busy) throw new RefusedError(await readRefusal(answer));
    if (attempt === TRIES) throw new Error(await readRefusal(answer));
    onWait();
    await new Promise((wake) => setTimeout(wake, 1000 * Number(answer?.headers.get("Retry-After") ?? attempt)));
  }
}

/**
 * Predict what the server can be brought to; what is left is told, with the reason.
 * @param {Ask} ask
 * @param {Picture[]} pictures
 * @param {Limits} limits
 * @param {(rows: Row[][], of: Picture[]) => void} onRows
 * @returns {Promise<Left>}
 */
async function predictAll(ask, pictures, limits, onRows) {
  const left = new Set(pictures);
  /** @type {{reason: Error | null, gone: boolean}} */
  const state = { reason: null, gone: false };
  /** @type {typeof onRows} */
  const take = (rows, of) => {
    for (const picture of of) left.delete(picture);
    onRows(rows, of);
  };
  const parts = cutParts(pictures, limits, take);
  const work = async () => {
    for (let part = await parts.next(); !part.done && !state.gone; part = await parts.next()) {
      try {
        await predictPart(ask, part.value, take);
      } catch (error) {
        state.reason ??= error instanceof Error ? error : new Error(String(error));
        state.gone ||= !(error instanceof RefusedError);
      }
    }
  };
  await Promise.all(Array.from({ length: REQUESTS }, work));
  return { pictures: [...left], reason: state.reason };
}

/**
 * @param {Ask} ask
 * @param {Part} part
 * @param {(rows: Row[][], of: Picture[]) => void} onRows
 */
async function predictPart(ask, { pictures, files }, onRows) {
  const body = new FormData();
  for (const { name, blob } of files) body.append("files", blob, name);
  const { rows } = await (await ask("v1/predict", { method: "POST", body })).json();
  onRows(groupRows(rows, files.length), pictures);
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
 * Pictures → requests, opened when their turn comes; one that cannot be opened is an error at once.
 * @param {Picture[]} pictures
 * @param {Limits} limits
 * @param {(rows: Row[][], of: Picture[]) => void} onRows
 * @returns {AsyncGenerator<Part>}
 */
async function* cutParts(pictures, limits, onRows) {
  const most = Math.min(IMAGES, limits.images), full = Math.min(BYTES, limits.request_bytes / 2);
  /** @type {Part} */
  let part = { pictures: [], files: [] };
  let bytes = 0;
  for (const picture of pictures) {
    const blob = await picture.open().catch(describeUnopened);
    if (typeof blob === "string") {
      onRows([[describeFault(picture.path, blob)]], [picture]);
      continue;
    }
    if (part.files.length === most || (part.files.length && bytes + blob.size > full)) {
      yield part;
      [part, bytes] = [{ pictures: [], files: [] }, 0];
    }
    part.pictures.push(picture);
    part.files.push({ name: toImageName(picture.path), blob });
    bytes += blob.size;
  }
  if (part.files.length) yield part;
}

/** @param {unknown} error */
function describeUnopened(error) {
  return error instanceof DOMException
    ? "the browser cannot read this file. Was it moved or changed? Choose it again."
    : error instanceof Error ? error.message : String(error);
}

/**
 * The row of an image that never reached the server.
 * @param {string} image
 * @param {string} warnings
 * @returns {Row}
 */
function describeFault(image, warnings) {
  return { image, cell: "", box: null, probability: null, call: "error", conformal_call: "error", warnings, subject: "", model: "", crop_hash: "" };
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
