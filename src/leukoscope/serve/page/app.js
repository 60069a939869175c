/** The page: holds the cells and the threshold, and lets everything follow when one changes. */

import {
  listLabelled, listWarnings, nameWarning, parseSubject, passesFilter, writeAnswers, writeLabels,
} from "./deciding.js";
import { TokenError, connectServer } from "./engine.js";
import { build, buildGallery } from "./gallery.js";
import { showAgreement, showCounts, showFacts, showSubjects } from "./panels.js";
import { findPictures, listChosen, listDropped } from "./reading.js";
import { buildViewer } from "./viewer.js";

/**
 * @typedef {import("./deciding.js").Cell} Cell
 * @typedef {import("./engine.js").Model} Model
 */

const PRINTED = 60;
const LEAD = "Drop images of single cells here, a folder, or a zip.";

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
const field = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));

const engine = connectServer(() => sessionStorage.getItem("token") ?? "");
/** @type {Cell[]} */
let cells = [];
/** @type {Model | null} */
let model = null;
let threshold = 0.5;
let frame = 0;
let round = 0; // goes up with "Clear all": answers still under way are then left out

const gallery = buildGallery(/** @type {HTMLUListElement} */ (find("cells")), (card) => viewer.open(card));
const viewer = buildViewer({
  listShown: gallery.listShown,
  readThreshold: () => threshold,
  explain: engine.explain,
  onChange: () => update(),
  onClose: (card) => {
    if (!card.item.hidden) gallery.focusCard(card);
  },
});

/** Everything follows, once a frame. */
function update() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    showCounts(cells, threshold);
    showSubjects(cells, threshold, model?.metadata.subjects ?? null);
    showAgreement(cells, threshold);
    showWarningChoices();
    const filter = {
      call: /** @type {any} */ (field("filter-call").value),
      certainty: /** @type {any} */ (field("filter-certainty").value),
      warning: field("filter-warning").value,
      reading: /** @type {any} */ (field("filter-reading").value),
    };
    const shown = gallery.update(threshold, (cell) => passesFilter(cell, threshold, filter));
    find("shown").textContent = shown === cells.length
      ? `${cells.length.toLocaleString("en")} shown`
      : `${shown.toLocaleString("en")} of ${cells.length.toLocaleString("en")} shown`;
    const without = gallery.listShown().filter(({ cell }) => !cell.subject).length;
    find("subject-form").hidden = without === 0;
    find("subject-label").textContent = `Subject of the ${without.toLocaleString("en")} cells shown that have none`;
    /** @type {HTMLButtonElement} */ (find("save-labels")).disabled = listLabelled(cells).length === 0;
    find("simulated").hidden = !cells.some((cell) => cell.simulated);
    find("work").hidden = cells.length === 0;
    find("lead").textContent = cells.length ? "Drop more here." : LEAD;
    document.body.classList.toggle("loaded", cells.length > 0);
  });
}

/** The warnings that stand on the page, to filter by. */
function showWarningChoices() {
  const kinds = [...new Set(cells.flatMap(listWarnings).map(nameWarning))].sort();
  const select = field("filter-warning");
  if (select.dataset.kinds === kinds.join("\n") && select.children.length) return;
  const chosen = select.value;
  select.dataset.kinds = kinds.join("\n");
  const choices = [["", "all"], ["none", "without"], ["any", "with any"], ...kinds.map((words) => [words, words])];
  select.replaceChildren(...choices.map(([value, words]) => {
    const option = build("option", "", words);
    option.value = value;
    return option;
  }));
  select.value = choices.some(([value]) => value === chosen) ? chosen : "";
}

/** @param {number} value */
function setThreshold(value) {
  threshold = value;
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
    model = await engine.describe();
  } catch (error) {
    showProblem(error);
    return;
  }
  find("problem").hidden = true;
  find("token-form").hidden = true;
  find("expected").textContent = model.expected ?? "";
  for (const [name, value] of /** @type {const} */ ([["model", model.threshold], ["sensitive", model.sensitive_threshold]])) {
    find(`mark-${name}`).style.setProperty("--at", String(value));
    /** @type {HTMLElement} */ (find(`set-${name}`).querySelector("b")).textContent = value.toFixed(3);
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
  if (!model) await start();
  if (!model) return;
  const mine = round;
  find("problem").hidden = true;
  find("status").textContent = "Reading the list of files…";
  try {
    const found = await findPictures(await listing);
    const known = new Set(cells.map(({ image }) => image));
    const pictures = found.pictures.filter(({ name }) => !known.has(name) && known.add(name));
    const repeated = found.pictures.length - pictures.length;
    const over = [
      repeated && `${repeated.toLocaleString("en")} here already`,
      found.passedOver && `${found.passedOver.toLocaleString("en")} passed over that are no images`,
    ].filter(Boolean).join(", ");
    let done = 0;
    setBusy(true);
    await engine.predict(pictures, (rows, first) => {
      if (mine !== round) return;
      const added = rows.map((row, place) => ({
        cell: toCell(row, pictures[first + place].name, simulated || found.simulated),
        open: pictures[first + place].open,
      }));
      cells.push(...added.map(({ cell }) => cell));
      gallery.add(added, threshold);
      done += rows.length;
      field("bar").value = String(done / pictures.length);
      find("status").textContent = `${done.toLocaleString("en")} of ${pictures.length.toLocaleString("en")} images`;
      update();
    });
    if (mine !== round) return;
    find("status").textContent = pictures.length || over
      ? `${done.toLocaleString("en")} images answered for${over ? `; ${over}` : ""}.`
      : "No image found there.";
  } catch (error) {
    find("status").textContent = "";
    showProblem(error);
  } finally {
    setBusy(false);
  }
}

/**
 * @param {import("./engine.js").Row} row
 * @param {string} image
 * @param {boolean} simulated
 * @returns {Cell}
 */
function toCell({ probability, conformal_call: conformalCall, warnings }, image, simulated) {
  const subject = parseSubject(image);
  return { image, subject: subject && simulated ? `sim ${subject}` : subject, probability, conformalCall, warnings, reading: null, simulated };
}

/** @param {boolean} busy */
function setBusy(busy) {
  find("progress").hidden = !busy;
  field("bar").value = "0";
  for (const id of ["choose-files", "choose-folder", "try-samples"]) {
    /** @type {HTMLButtonElement} */ (find(id)).disabled = busy;
  }
}

/**
 * @param {string} text
 * @param {string} name
 */
function save(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = build("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

async function preparePrint() {
  if (!model) return;
  showFacts(cells, threshold, model);
  const printing = gallery.preparePrint(PRINTED);
  const shown = gallery.listShown().length;
  find("printed").textContent = shown > PRINTED
    ? `The first ${PRINTED} of ${shown.toLocaleString("en")} cells shown; all are in the CSV.`
    : "";
  await printing;
}

function wire() {
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
  field("threshold").addEventListener("input", () => setThreshold(Number(field("threshold").value)));
  for (const id of ["filter-call", "filter-certainty", "filter-warning", "filter-reading"]) find(id).addEventListener("change", update);
  find("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", field("token").value.trim());
    start();
  });
  find("subject-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = field("subject-name").value.trim();
    for (const { cell } of gallery.listShown()) cell.subject ||= name;
    field("subject-name").value = "";
    update();
  });
  find("start-reading").addEventListener("click", () => {
    viewer.startReading();
  });
  find("save-answers").addEventListener("click", () => save(writeAnswers(cells, threshold), "leukoscope-answers.csv"));
  find("save-labels").addEventListener("click", () => model && save(writeLabels(cells, model), "leukoscope-labels.csv"));
  find("print").addEventListener("click", async () => {
    await preparePrint();
    window.print();
  });
  window.addEventListener("beforeprint", preparePrint);
  find("clear").addEventListener("click", () => {
    const readings = cells.filter(({ reading }) => reading !== null).length;
    if (readings && !window.confirm(`Clear all, with your ${readings} calls?`)) return;
    round += 1;
    cells = [];
    gallery.clear();
    find("status").textContent = "";
    update();
    find("intake").focus();
  });
  window.addEventListener("beforeunload", (event) => {
    if (cells.some(({ reading }) => reading !== null)) event.preventDefault(); // calls not saved would be lost
  });
}

wire();
start();
