/** The page: holds the cells and the threshold, and lets everything follow when one changes. */

import { listLabelled, listWarnings, nameWarning, passesFilter, writeAnswers, writeLabels } from "./deciding.js";
import { build, field, find, findButton, save } from "./dom.js";
import { TokenError, connectServer } from "./engine.js";
import { fillFacts } from "./facts.js";
import { formatCount, formatCounted } from "./formatting.js";
import { addCells, buildGallery, clearGallery, focusCard, listShown, prepareCards, updateGallery } from "./gallery.js";
import { pick } from "./lists.js";
import { showAgreement, showCounts, showReport, showSubjects } from "./panels.js";
import { findPictures, listChosen, listDropped, openCell } from "./reading.js";
import { buildViewer, openViewer, startReading } from "./viewer.js";

/**
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {import("./engine.js").Model} Model
 * @typedef {import("./engine.js").Picture} Picture
 *
 * @typedef {object} State
 * @property {Cell[]} cells
 * @property {Model | null} model  null until the server has said what it is
 * @property {number} threshold
 * @property {number} frame   of the browser, in which everything follows
 * @property {number} round   goes up with "Clear all": answers still under way are then left out
 */

const PRINTED = 60;
const LEAD = "Drop images of single cells, a folder or a zip here.";
const FILTERS = ["filter-call", "filter-certainty", "filter-warning", "filter-reading"];

/** @type {State} */
const state = { cells: [], model: null, threshold: 0.5, frame: 0, round: 0 };

const engine = connectServer(() => sessionStorage.getItem("token") ?? "");
const gallery = buildGallery(/** @type {HTMLUListElement} */ (find("cells")), (card) => openViewer(viewer, card));
const viewer = buildViewer({
  listShown: () => listShown(gallery),
  readThreshold: () => state.threshold,
  readFrame: () => state.model?.facts.frame_px ?? 0,
  readCoverage: () => state.model?.facts.coverage ?? 0,
  explain: engine.explain,
  onChange: () => update(),
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
    if (model) showSubjects(cells, threshold, model.facts);
    showAgreement(cells, threshold);
    showWarningChoices();
    showSelection();
    findButton("save-labels").disabled = listLabelled(cells).length === 0;
    find("simulated").hidden = !cells.some((cell) => cell.simulated);
    find("work").hidden = cells.length === 0;
    find("lead").textContent = cells.length ? "Drop more here." : LEAD;
    document.body.classList.toggle("loaded", cells.length > 0);
  });
}

/** The cells that pass the filters, and what is to be said of them. */
function showSelection() {
  const { cells, threshold } = state;
  const filter = {
    call: /** @type {any} */ (field("filter-call").value),
    certainty: /** @type {any} */ (field("filter-certainty").value),
    warning: field("filter-warning").value,
    reading: /** @type {any} */ (field("filter-reading").value),
  };
  const shown = updateGallery(gallery, threshold, (cell) => passesFilter(cell, threshold, filter));
  find("shown").textContent = shown === cells.length
    ? `${formatCount(cells.length)} shown`
    : `${formatCount(shown)} of ${formatCount(cells.length)} shown`;
  const without = listShown(gallery).filter(({ cell }) => !cell.subject).length;
  find("subject-form").hidden = without === 0;
  find("subject-label").textContent = `Subject for ${formatCounted(without, "shown cell")} without one`;
}

/** The warnings that stand on the page, to filter by. */
function showWarningChoices() {
  const kinds = [...new Set(state.cells.flatMap(listWarnings).map(nameWarning))].sort();
  const select = field("filter-warning");
  if (select.dataset.kinds === kinds.join("\n") && select.children.length) return;
  const chosen = select.value;
  select.dataset.kinds = kinds.join("\n");
  /** @type {Record<string, string>} */
  const choices = { "": "all", none: "without", any: "with any", ...Object.fromEntries(kinds.map((words) => [words, words])) };
  select.replaceChildren(...Object.entries(choices).map(([value, words]) => {
    const option = build("option", "", words);
    option.value = value;
    return option;
  }));
  select.value = chosen in choices ? chosen : "";
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
    const model = await engine.describe();
    find("problem").hidden = true;
    find("token-form").hidden = true;
    showModel(model);
  } catch (error) {
    showProblem(error);
  }
}

/** @param {Model} model */
function showModel(model) {
  state.model = model;
  fillFacts(model);
  find("expected").textContent = model.expected ?? "";
  for (const [name, value] of /** @type {const} */ ([["model", model.threshold], ["sensitive", model.sensitive_threshold]])) {
    find(`mark-${name}`).style.setProperty("--at", String(value));
    find(`value-${name}`).textContent = value.toFixed(3);
    find(`set-${name}`).onclick = () => setThreshold(value);
  }
  setThreshold(model.threshold);
}

/**
 * Answer for files, and show each answer as it comes.
 * @param {Promise<{path: string, file: Blob}[]>} listing
 * @param {boolean} [simulated]
 */
async function take(listing, simulated = false) {
  if (!state.model) await start();
  const { model, round } = state;
  if (!model) return;
  find("problem").hidden = true;
  find("status").textContent = "Reading the list of files…";
  try {
    const found = await findPictures(await listing, {
      suffixes: model.facts.image_suffixes, simulated: model.facts.simulated_file, largest: model.limits.image_bytes,
    });
    const known = new Set(state.cells.map(({ image }) => image));
    const pictures = found.pictures.filter(({ name }) => !known.has(name) && known.add(name));
    setBusy(true);
    const done = await answer(pictures, model, simulated || found.simulated);
    if (round !== state.round) return;
    find("status").textContent = describeTaken(done, found.pictures.length - pictures.length, found.passedOver);
  } catch (error) {
    find("status").textContent = "";
    showProblem(error);
  } finally {
    setBusy(false);
  }
}

/**
 * Show the answers as they come; how many came.
 * @param {Picture[]} pictures
 * @param {Model} model
 * @param {boolean} simulated
 */
async function answer(pictures, { limits }, simulated) {
  const { round } = state;
  let done = 0;
  await engine.predict(pictures, limits, (rows, first) => {
    if (round !== state.round) return;
    const added = rows.flatMap((ofPicture, place) => {
      const picture = pick(pictures, first + place);
      return ofPicture.map((row) => ({ cell: toCell(row, picture.name, simulated), picture, open: () => openCell(picture, row) }));
    });
    state.cells.push(...added.map(({ cell }) => cell));
    addCells(gallery, added, state.threshold);
    done += rows.length;
    field("bar").value = String(done / pictures.length);
    find("status").textContent = `${formatCount(done)} of ${formatCount(pictures.length)} images`;
    update();
  });
  return done;
}

/**
 * @param {number} done
 * @param {number} repeated
 * @param {number} passedOver
 */
function describeTaken(done, repeated, passedOver) {
  const over = [
    repeated && `${formatCount(repeated)} already on the page`,
    passedOver && `${formatCounted(passedOver, "file")} skipped (not images)`,
  ].filter(Boolean).join(", ");
  return done || over ? `${formatCounted(done, "image")} classified${over ? `; ${over}` : ""}.` : "No image found.";
}

/**
 * @param {import("./engine.js").Row} row
 * @param {string} image
 * @param {boolean} simulated
 * @returns {Cell}
 */
function toCell({ cell, subject: name, model, probability, conformal_call: conformalCall, warnings }, image, simulated) {
  const subject = name && simulated ? `sim ${name}` : name;
  return { image, cell, subject, model, probability, conformalCall, warnings, reading: null, simulated };
}

/** @param {boolean} busy */
function setBusy(busy) {
  find("progress").hidden = !busy;
  field("bar").value = "0";
  for (const id of ["choose-files", "choose-folder", "try-samples"]) findButton(id).disabled = busy;
}

async function preparePrint() {
  if (!state.model) return;
  showReport(state.cells, state.threshold, state.model);
  const shown = listShown(gallery).length;
  find("printed").textContent = shown > PRINTED
    ? `The first ${PRINTED} of ${formatCount(shown)} cells; the exported CSV has all.`
    : "";
  await prepareCards(gallery, PRINTED);
}

function clearAll() {
  const readings = state.cells.filter(({ reading }) => reading !== null).length;
  if (readings && !window.confirm(`Clear all, including your ${formatCounted(readings, "call")}?`)) return;
  state.round += 1;
  state.cells = [];
  clearGallery(gallery);
  find("status").textContent = "";
  update();
  find("intake").focus();
}

function wireIntake() {
  find("choose-files").addEventListener("click", () => field("files").click());
  find("choose-folder").addEventListener("click", () => field("folder").click());
  for (const id of ["files", "folder"]) {
    field(id).addEventListener("change", () => {
      take(Promise.resolve(listChosen(field(id).files ?? [])));
      field(id).value = ""; // so that the same files can be chosen again
    });
  }
  find("try-samples").addEventListener("click", () => {
    take(engine.drawSamples().then((file) => [{ path: "simulated.zip", file }]), true);
  });
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
    if (event.dataTransfer) take(listDropped(event.dataTransfer));
  });
}

function wireChoices() {
  field("threshold").addEventListener("input", () => setThreshold(Number(field("threshold").value)));
  for (const id of FILTERS) find(id).addEventListener("change", update);
  find("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", field("token").value.trim());
    start();
  });
  find("subject-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = field("subject-name").value.trim();
    for (const { cell } of listShown(gallery)) cell.subject ||= name;
    field("subject-name").value = "";
    update();
  });
  find("start-reading").addEventListener("click", () => startReading(viewer));
}

function wireSaving() {
  find("save-answers").addEventListener("click", () => save(writeAnswers(state.cells, state.threshold), "leukoscope-answers.csv"));
  find("save-labels").addEventListener("click", () => state.model && save(writeLabels(state.cells, state.model), "leukoscope-labels.csv"));
  find("print").addEventListener("click", async () => {
    await preparePrint();
    window.print();
  });
  window.addEventListener("beforeprint", preparePrint);
  find("clear").addEventListener("click", clearAll);
  window.addEventListener("beforeunload", (event) => {
    if (state.cells.some(({ reading }) => reading !== null)) event.preventDefault(); // calls not saved would be lost
  });
}

wireIntake();
wireChoices();
wireSaving();
start();
