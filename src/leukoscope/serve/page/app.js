/** The page: holds the cells and the threshold, and lets everything follow when one changes. */

import { writeAnswers, writeLabels } from "./deciding.js";
import { build, field, find, findButton, save } from "./dom.js";
import { TokenError, connectServer } from "./engine.js";
import { fillFacts } from "./facts.js";
import { buildFilters, readFilter, showFilters } from "./filters.js";
import { formatCount, formatCounted } from "./formatting.js";
import { addCells, buildGallery, clearGallery, focusCard, keepFirst, listShown, updateGallery, waitForFirst } from "./gallery.js";
import { forgetEntered, isEntered, keepEntered } from "./keeping.js";
import { describeAdded, listLeft, toCell } from "./making.js";
import { nameByFolder } from "./naming.js";
import { showAgreement, showCounts, showLabelled, showLeft, showReport, showSubjects } from "./panels.js";
import { describeSkipped, findPictures, listChosen, listDropped, openCell } from "./reading.js";
import { buildSubjectForm, showWhose } from "./subjects.js";
import { admit, buildIntake, clearIntake, describeTaken, takeTurn } from "./taking.js";
import { buildViewer, openViewer, startReading } from "./viewer.js";

/**
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {import("./engine.js").Model} Model
 * @typedef {import("./engine.js").Picture} Picture
 * @typedef {import("./engine.js").Row} Row
 * @typedef {import("./reading.js").Listed} Listed
 *
 * @typedef {object} State
 * @property {Cell[]} cells
 * @property {keyof typeof engines} source   whose predictions the page shows
 * @property {Model | null} model  null until the server has said what it is
 * @property {number} threshold
 * @property {number} frame   of the browser, in which everything follows
 * @property {number} round   goes up with "Clear all": answers still under way are then left out
 * @property {boolean} unsaved  something was entered by hand since the last export
 */

const PRINTED = 60;
const LEAD = "Drop images of single cells, a folder or a zip here.";
const NARROW = matchMedia("screen and (max-width: 60rem)");
const SIMULATED = {
  own: "They demonstrate the page, not a model’s performance on real cells.",
  samples: "A small network that learned from simulated cells predicts them, and nothing else. Your own images go to this server’s model.",
};

const readToken = () => sessionStorage.getItem("token") ?? "";
const onWait = () => {
  if (intake.waiting) find("status").textContent = "The server is busy or gone: asking it again…";
};
const engines = { own: connectServer(readToken, onWait), samples: connectServer(readToken, onWait, "v1/samples/") };

/** @type {State} */
const state = { cells: [], source: "own", model: null, threshold: 0.5, frame: 0, round: 0, unsaved: false };
const intake = buildIntake();

const gallery = buildGallery(/** @type {HTMLUListElement} */ (find("cells")), (card) => openViewer(viewer, card));
const viewer = buildViewer({
  listShown: () => listShown(gallery),
  readThreshold: () => state.threshold,
  readFrame: () => state.model?.facts.frame_px ?? 0,
  readCoverage: () => state.model?.facts.coverage ?? 0,
  explain: (...asked) => engines[state.source].explain(...asked),
  onChange: () => changeByHand(),
  onClose: (card) => {
    if (!card.item.hidden) focusCard(gallery, card);
  },
});

/** Everything follows, once a frame. */
function update() {
  cancelAnimationFrame(state.frame);
  state.frame = requestAnimationFrame(() => {
    const { cells, model, threshold } = state;
    showCounts(cells, threshold);
    showLeft(intake.left.length, intake.reason, cells);
    if (model) showSubjects(cells, threshold, model.facts, intake.left.length > 0);
    showAgreement(cells, threshold);
    showLabelled(cells);
    showFilters(cells);
    showSelection();
    find("simulated").hidden = !cells.some((cell) => cell.simulated);
    find("simulated-more").textContent = SIMULATED[state.source];
    const loaded = cells.length > 0 || intake.left.length > 0;
    find("work").hidden = !loaded;
    find("try-samples").hidden = loaded;
    find("lead").textContent = loaded ? "Drop more here." : LEAD;
    document.body.classList.toggle("loaded", loaded);
  });
}

/** The cells that pass the filters, and what is to be said of them. */
function showSelection() {
  const { cells, threshold } = state;
  const passes = readFilter(threshold);
  const shown = updateGallery(gallery, threshold, passes);
  keepFirst(gallery, PRINTED);
  const all = formatCount(cells.length);
  find("shown").textContent = shown === cells.length ? `${all} shown` : `${formatCount(shown)} of ${all} shown`;
  find("filtered").textContent = shown === cells.length ? "" : `${formatCount(shown)} of ${all} cells shown`;
  const without = listShown(gallery).filter(({ cell }) => !cell.subject).length;
  showWhose(without, shown);
}

/** Something was entered by hand: it is kept for a reload, and leaving the page warns. */
function changeByHand() {
  state.unsaved = state.cells.some(isEntered);
  keepEntered(state.cells);
  update();
}

/** @param {number} value */
function setThreshold(value) {
  state.threshold = value;
  field("threshold").value = String(value);
  find("threshold-value").textContent = value.toFixed(3);
  update();
}

/** @param {unknown} error */
function showProblem(error) {
  if (error instanceof TokenError) {
    find("token-form").hidden = false;
    field("token").focus();
  }
  find("problem").textContent = error instanceof Error ? error.message : String(error);
  find("problem").hidden = false;
}

/** Ask the engine what it is; it may ask for its token. */
async function start() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname); // not to be left on the screen
  }
  try {
    showModel(await engines[state.source].describe());
    find("problem").hidden = true;
    find("token-form").hidden = true;
  } catch (error) {
    showProblem(error);
  }
}

/** @param {Model} model */
function showModel(model) {
  state.model = model;
  fillFacts(model);
  find("expected").textContent = model.expected ?? "";
  find("expected-box").hidden = !model.expected;
  for (const [name, value] of /** @type {const} */ ([["model", model.threshold], ["sensitive", model.sensitive_threshold]])) {
    find(`mark-${name}`).style.setProperty("--at", String(value));
    find(`value-${name}`).textContent = value.toFixed(3);
    find(`set-${name}`).onclick = () => setThreshold(value);
  }
  setThreshold(model.threshold);
}

/**
 * Predict files after those that are under way. Own images and the samples are never on the page together.
 * @param {Promise<Listed[]>} listing
 * @param {State["source"]} source
 */
function take(listing, source) {
  listing.catch(() => {}); // told when its turn comes
  return takeTurn(intake, async () => {
    if (intake.waiting === 1) find("notes").replaceChildren();
    find("problem").hidden = true;
    setBusy(true);
    try {
      if (source !== state.source && !clearAll()) return;
      if (source !== state.source || !state.model) {
        state.source = source;
        state.model = null;
        await start();
      }
      if (state.model) await takeFiles(await listing, state.model);
      else find("status").textContent = "These images were not taken: choose them again when the server answers.";
    } catch (error) {
      find("status").textContent = "";
      showProblem(error);
    } finally {
      setBusy(false);
    }
  });
}

/**
 * @param {Listed[]} files
 * @param {Model} model
 */
async function takeFiles(files, { facts, limits }) {
  const { round } = state;
  find("status").textContent = "Reading the list of files…";
  const found = await findPictures(files, {
    suffixes: facts.image_suffixes, simulated: facts.simulated_file, largest: limits.image_bytes, classWords: facts.class_words,
  });
  const { fresh, repeated, renamed } = await admit(intake, found.pictures);
  if (round === state.round) await predict(fresh, [...describeSkipped(found), ...renamed], repeated);
}

/**
 * Show the predictions as they come, then what became of the pictures.
 * @param {Picture[]} pictures
 * @param {string[]} notes
 * @param {number} repeated
 */
async function predict(pictures, notes, repeated) {
  const { round, model } = state;
  if (!model) return;
  let done = 0;
  /** @type {Cell[]} */
  const added = [];
  const left = await engines[state.source].predict(pictures, model.limits, (rows, of) => {
    if (round !== state.round) return;
    added.push(...addRows(rows, of));
    done += of.length;
    field("bar").value = String(done / pictures.length);
    find("status").textContent = `${formatCount(done)} of ${formatCount(pictures.length)} images`;
    update();
  });
  if (round !== state.round) return;
  intake.left.push(...left.pictures);
  intake.reason = left.reason?.message ?? "";
  if (left.reason instanceof TokenError) showProblem(left.reason);
  nameByFolder(state.cells);
  const failed = pictures.filter((picture) => added.some((cell) => cell.image === picture.name && cell.probability === null)).length;
  find("status").textContent = describeTaken({ predicted: done - failed, failed, left: left.pictures.length, repeated });
  const shown = [...notes, ...describeAdded(added, state.cells, model.facts)];
  state.unsaved ||= added.some(isEntered);
  showNotes(shown);
  update();
}

/**
 * @param {Row[][]} rows  of each picture
 * @param {Picture[]} of
 */
function addRows(rows, of) {
  const found = of.flatMap((picture, place) => (rows[place] ?? []).map((row) => ({
    cell: toCell(row, picture), picture, open: () => openCell(picture, row),
  })));
  const cells = found.map(({ cell }) => cell);
  state.cells.push(...cells);
  addCells(gallery, found, state.threshold);
  return cells;
}

/** @param {string[]} words */
function showNotes(words) {
  find("notes").append(...words.map((sentence) => build("li", "", sentence)));
  find("notes").hidden = find("notes").children.length === 0;
}

function retry() {
  takeTurn(intake, async () => {
    const pictures = intake.left;
    if (!pictures.length) return;
    intake.left = [];
    find("problem").hidden = true;
    setBusy(true);
    update();
    await predict(pictures, [], 0).finally(() => setBusy(false));
  });
  find("intake").focus(); // the button goes
}

/** @param {boolean} busy */
function setBusy(busy) {
  find("progress").hidden = !busy;
  field("bar").value = "0";
}

/** The pictures are there already (`keepFirst`): a menu's printing waits for nothing. */
function preparePrint() {
  if (!state.model) return;
  showReport(state.cells, state.threshold, state.model, intake.left.length);
  for (const part of document.querySelectorAll("details:not([open])")) {
    part.setAttribute("open", "");
    addEventListener("afterprint", () => part.removeAttribute("open"), { once: true });
  }
  const shown = listShown(gallery).length, order = "highest probability of leukaemic first";
  find("printed").textContent = shown > PRINTED
    ? `Pictures of the first ${PRINTED} of ${formatCount(shown)} cells shown, ${order}; the exported CSV has all.`
    : `Pictures of all ${formatCounted(shown, "cell")} shown, ${order}.`;
}

/** Returns whether it was done. */
function clearAll() {
  const entered = state.cells.filter(isEntered).length;
  if (entered && !window.confirm(`Clear all, including the calls and subjects you entered for ${formatCounted(entered, "cell")}?`)) return false;
  state.round += 1;
  state.cells = [];
  state.unsaved = false;
  clearIntake(intake);
  clearGallery(gallery);
  showNotes([]);
  find("notes").replaceChildren();
  find("notes").hidden = true;
  for (const id of ["status", "subject-done"]) find(id).textContent = "";
  find("subject-undo").hidden = true;
  update();
  return true;
}

function wireIntake() {
  find("choose-files").addEventListener("click", () => field("files").click());
  find("choose-folder").addEventListener("click", () => field("folder").click());
  for (const id of ["files", "folder"]) {
    field(id).addEventListener("change", () => {
      take(Promise.resolve(listChosen(field(id).files ?? [])), "own");
      field(id).value = ""; // so that the same files can be chosen again
    });
  }
  find("try-samples").addEventListener("click", () => {
    take(engines.own.drawSamples().then((file) => [{ path: "samples.zip", file }]), "samples");
    find("intake").focus(); // the button goes
  });
  find("retry").addEventListener("click", retry);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragged");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragged");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragged");
    if (event.dataTransfer) take(listDropped(event.dataTransfer), "own");
  });
}

function wireChoices() {
  field("threshold").addEventListener("input", () => setThreshold(Number(field("threshold").value)));
  buildFilters(update);
  find("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", field("token").value.trim());
    start();
  });
  find("start-reading").addEventListener("click", () => startReading(viewer));
  const fold = () => {
    for (const part of document.querySelectorAll(".fold")) part.toggleAttribute("open", !NARROW.matches);
    find("expected-box").toggleAttribute("open", !NARROW.matches);
  };
  NARROW.addEventListener("change", fold);
  fold();
}

function wireSaving() {
  find("save-answers").addEventListener("click", () => {
    save(writeAnswers([...state.cells, ...listLeft(intake.left)], state.threshold), "leukoscope-predictions.csv");
    state.unsaved = false;
  });
  find("save-labels").addEventListener("click", () => state.model && save(writeLabels(state.cells, state.model), "leukoscope-labels.csv"));
  find("print").addEventListener("click", async () => {
    await waitForFirst(gallery, PRINTED);
    window.print();
  });
  window.addEventListener("beforeprint", preparePrint);
  find("clear").addEventListener("click", () => {
    if (!clearAll()) return;
    forgetEntered();
    find("intake").focus();
  });
  window.addEventListener("beforeunload", (event) => {
    if (state.unsaved || intake.waiting) event.preventDefault(); // what is not exported would be lost
  });
}

wireIntake();
wireChoices();
buildSubjectForm(() => listShown(gallery).map(({ cell }) => cell), changeByHand);
wireSaving();
start();
