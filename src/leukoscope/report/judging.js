// @ts-check
// Judge links in the page of `leukoscope data check`: which names are one person, as a reader sees it.

/**
 * @typedef {{ a: number, b: number, image: string, other: string, evidence: number | null,
 *   correlation: number | null, equal: boolean, accepted: boolean }} Link
 *   a and b are places in `names`; equal: the pixels are; accepted: the verdict.
 * @typedef {{ names: string[], fixed: [number, number][], links: Link[], file: string }} Judging
 *   names in natural order; fixed: joins that the groups file makes without a link.
 */

/**
 * Union-find: each name's group, called by the place of its first name.
 * @param {number} count
 * @param {[number, number][]} edges
 */
function joinNames(count, edges) {
  const parent = Array.from({ length: count }, (_, place) => place);
  /** @param {number} place */
  const find = (place) => {
    while (parent[place] !== place) place = parent[place] = parent[parent[place]];
    return place;
  };
  for (const [a, b] of edges) {
    const [low, high] = [find(a), find(b)].sort((x, y) => x - y);
    parent[high] = low;
  }
  return parent.map((_, place) => find(place));
}

/**
 * @param {string[]} columns
 * @param {(string | number | null)[][]} rows
 */
function writeCsv(columns, rows) {
  /** @param {string | number | null} value */
  const quote = (value) => {
    const text = String(value ?? "");
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => `${row.map(quote).join(",")}\n`).join("");
}

/** @param {number} count @param {string} one @param {string} [many] */
const tell = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

(() => {
  /** @param {string} id */
  const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
  /** @type {Judging} */
  const { names, fixed, links, file } = JSON.parse(find("judging-data").textContent ?? "");
  const began = links.map((link) => link.accepted);
  const cards = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".pair")]);
  const buttons = cards.map((card) => /** @type {HTMLButtonElement} */ (card.querySelector("button")));
  const view = /** @type {HTMLDialogElement} */ (find("view"));
  let current = 0;
  let shown = 0; // the pair that is or was large
  let unsaved = false;

  /** @param {number} [without] a link to leave out */
  const listEdges = (without) => [
    ...fixed,
    ...links.filter((link, place) => link.accepted && place !== without)
      .map((link) => /** @type {[number, number]} */ ([link.a, link.b])),
  ];
  /** @param {number} [without] */
  const join = (without) => joinNames(names.length, listEdges(without));
  /** @param {number[]} groups @param {number} group */
  const nameGroup = (groups, group) => names.filter((_, place) => groups[place] === group).join("+");
  /** @param {number[]} groups */
  const count = (groups) => new Set(groups).size;
  /** @param {Link} link places of all links between the same two names */
  const listBetween = ({ a, b }) => links.flatMap((link, place) =>
    (link.a === a && link.b === b) || (link.a === b && link.b === a) ? [place] : []);
  /** @param {Link} link */
  const nameBoth = ({ a, b }) => `${names[Math.min(a, b)]} and ${names[Math.max(a, b)]}`;

  /**
   * The names on the shortest way from one name to another.
   * @param {number} from
   * @param {number} to
   */
  function findWay(from, to) {
    /** @type {Map<number, number>} */
    const before = new Map([[from, from]]);
    const edges = listEdges();
    for (const place of before.keys()) {
      for (const [a, b] of edges) {
        const next = a === place ? b : b === place ? a : place;
        if (!before.has(next)) before.set(next, place);
      }
    }
    const way = [];
    for (let place = before.get(to) ?? from; place !== from; place = before.get(place) ?? from) way.unshift(place);
    return way.map((place) => names[place]);
  }

  /** @param {Link} link why its names are joined, whatever its own verdict */
  function describeBond(link) {
    const others = listBetween(link).filter((place) => links[place].accepted && links[place] !== link).length;
    if (others) return `by ${tell(others, "other link")}`;
    const way = findWay(link.a, link.b);
    return way.length ? `through ${way.join(", ")}` : `by ${file}`;
  }

  /** @param {number} place */
  function describeHold(place) {
    const link = links[place];
    const groups = join();
    if (groups[link.a] !== groups[link.b]) return `Rejected: ${nameBoth(link)} are two persons now.`;
    const without = join(place);
    if (!link.accepted) return `Rejected; ${nameBoth(link)} are joined ${describeBond(link)}.`;
    return without[link.a] === without[link.b]
      ? `${nameBoth(link)} are joined ${describeBond(link)} too: this one alone decides nothing.`
      : `${nameBoth(link)} are joined by this link alone: rejected, they part.`;
  }

  /**
   * @param {number[]} places
   * @param {boolean} accepted
   */
  function judge(places, accepted) {
    const changed = places.filter((place) => links[place].accepted !== accepted);
    if (!changed.length) return;
    const before = join();
    for (const place of changed) links[place].accepted = accepted;
    unsaved = true;
    changed.forEach(drawCard);
    draw(describeChange(links[changed[0]], changed.length, before));
  }

  /**
   * @param {Link} link
   * @param {number} many how many links between its two names were changed
   * @param {number[]} before
   */
  function describeChange(link, many, before) {
    const after = join();
    const verdict = `${many === 1 ? "Link" : tell(many, "link")} ${link.accepted ? "accepted" : "rejected"}. `;
    const persons = `${tell(count(after), "person")} now.`;
    if (count(after) > count(before)) {
      return `${verdict}${nameGroup(after, after[link.a])} and ${nameGroup(after, after[link.b])} part: ${persons}`;
    }
    if (count(after) < count(before)) return `${verdict}${nameGroup(after, after[link.a])} are one person: ${persons}`;
    return after[link.a] === after[link.b]
      ? `${verdict}Nothing changes: ${nameBoth(link)} ${link.accepted ? "were" : "stay"} joined ${describeBond(link)}.`
      : `${verdict}Nothing changes.`;
  }

  /** @param {number} place */
  function drawCard(place) {
    const rejected = !links[place].accepted;
    cards[place].classList.toggle("rejected", rejected);
    buttons[place].setAttribute("aria-pressed", String(rejected));
  }

  /** @param {string} [change] */
  function draw(change = "") {
    const groups = join();
    const rejected = links.filter((link) => !link.accepted).length;
    find("persons").textContent = count(groups).toLocaleString("en");
    find("tally").textContent = `${tell(links.length, "link")} across names, ${rejected || "none"} rejected.`;
    find("change").textContent = change;
    const equal = links.filter((link) => link.equal && groups[link.a] !== groups[link.b]).length;
    find("equal").hidden = !equal;
    find("equal").textContent = `${tell(equal, "pair")} under names put apart ${equal === 1 ? "is" : "are"} equal pixel for `
      + "pixel: the same image may then be trained on and evaluated. Such cells will count as leaky.";
    find("reset").hidden = links.every((link, place) => link.accepted === began[place]);
    drawGroups(groups);
    if (view.open) drawView(change);
  }

  /** @param {number[]} groups */
  function drawGroups(groups) {
    const joined = [...new Set(groups)].filter((group) => groups.indexOf(group) !== groups.lastIndexOf(group));
    find("groups").replaceChildren(...joined.map((group) => {
      const byFile = fixed.filter(([a]) => groups[a] === group).map(([a, b]) => `${names[a]}–${names[b]}: by ${file}`);
      const within = links.flatMap((link, place) => link.accepted && groups[link.a] === group ? [place] : []);
      return drawItem(nameGroup(groups, group), within, byFile);
    }));
    find("no-groups").hidden = joined.length > 0;
    const apart = links.flatMap((link, place) => groups[link.a] !== groups[link.b] ? [place] : []);
    find("apart").replaceChildren(...(apart.length ? [drawItem("Put apart", apart, [])] : []));
  }

  /**
   * A line for each two names that links join; pressed, it goes to the first of these links.
   * @param {string} title
   * @param {number[]} places
   * @param {string[]} more
   */
  function drawItem(title, places, more) {
    const item = document.createElement("li");
    const name = document.createElement("b");
    name.textContent = title;
    item.append(name, ...more.map((words) => Object.assign(document.createElement("span"), { textContent: words })));
    /** @type {Map<string, number[]>} */
    const between = new Map();
    for (const place of places) {
      const { a, b } = links[place];
      const both = `${names[Math.min(a, b)]}–${names[Math.max(a, b)]}`;
      between.set(both, [...between.get(both) ?? [], place]);
    }
    for (const [both, those] of between) {
      const jump = document.createElement("button");
      jump.type = "button";
      jump.textContent = `${both}: ${tell(those.length, "link")}`;
      jump.addEventListener("click", () => go(those[0]));
      item.append(jump);
    }
    return item;
  }

  /**
   * @param {number} place
   * @param {boolean} [focus]
   */
  function go(place, focus = true) {
    if (!links.length) return;
    buttons[current].tabIndex = -1;
    current = Math.max(0, Math.min(links.length - 1, place));
    buttons[current].tabIndex = 0;
    if (view.open) return drawView();
    if (!focus) return;
    const folded = cards[current].closest("details");
    if (folded) folded.open = true;
    buttons[current].focus({ preventScroll: true });
    cards[current].scrollIntoView({ block: "nearest" });
  }

  /** @param {string} [change] */
  function drawView(change) {
    shown = current;
    const link = links[current];
    const between = listBetween(link);
    find("view-title").textContent = `Pair ${current + 1} of ${links.length}`;
    for (const [side, image, subject] of /** @type {const} */ ([["left", link.image, link.a], ["right", link.other, link.b]])) {
      const picture = /** @type {HTMLImageElement} */ (find(`view-${side}`));
      picture.src = /** @type {HTMLImageElement} */ (cards[current].querySelector("img")).src;
      picture.alt = `Picture of ${image}`;
      find(`view-${side}-name`).textContent = names[subject];
      find(`view-${side}-image`).textContent = image.split("/").at(-1) ?? "";
      find(`view-${side}-image`).title = image;
    }
    find("view-facts").textContent = link.equal
      ? "Equal pixels."
      : `Correlation ${link.correlation?.toFixed(2)}, evidence ${link.evidence?.toFixed(0)}.`;
    find("view-change").textContent = change || describeHold(current);
    view.classList.toggle("rejected", !link.accepted);
    find("view-accept").setAttribute("aria-pressed", String(link.accepted));
    find("view-reject").setAttribute("aria-pressed", String(!link.accepted));
    /** @type {HTMLButtonElement} */ (find("view-previous")).disabled = current === 0;
    /** @type {HTMLButtonElement} */ (find("view-next")).disabled = current === links.length - 1;
    find("view-all").hidden = between.length < 2;
    find("view-all-words").textContent = `All ${between.length} links between ${nameBoth(link)}:`;
  }

  function openView() {
    if (view.open) return;
    view.showModal();
    drawView();
    find("view-next").focus();
  }

  /** @param {KeyboardEvent} event */
  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const list = cards[current].parentElement;
    const columns = view.open || !list ? 1 : getComputedStyle(list).gridTemplateColumns.split(" ").length;
    const places = {
      ArrowRight: current + 1, ArrowLeft: current - 1, ArrowDown: current + columns, ArrowUp: current - columns,
      Home: 0, End: links.length - 1,
    };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in places) go(places[/** @type {keyof typeof places} */ (key)]);
    else if (key === "a" || key === "r") judge([current], key === "a");
    else if (key === "v") openView();
    else return;
    event.preventDefault();
  }

  /**
   * @param {string} text
   * @param {string} name
   */
  function save(text, name) {
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    unsaved = false;
  }

  function saveGroups() {
    const groups = join();
    save(writeCsv(["subject", "group"], names.map((name, place) => [name, nameGroup(groups, groups[place])])), "groups.csv");
  }

  function saveLinks() {
    const columns = ["image", "other", "subject", "other_subject", "evidence", "correlation", "verdict"];
    save(writeCsv(columns, links.map((link) => [
      link.image, link.other, names[link.a], names[link.b], link.evidence, link.correlation,
      link.accepted ? "accepted" : "rejected",
    ])), "judged-links.csv");
  }

  cards.forEach((card, place) => {
    buttons[place].addEventListener("click", () => judge([place], !links[place].accepted));
    card.addEventListener("keydown", press);
    card.addEventListener("focusin", () => place !== current && go(place, false));
    card.querySelector("img")?.addEventListener("click", () => {
      go(place);
      openView();
    });
  });
  view.addEventListener("keydown", press);
  view.addEventListener("close", () => go(shown)); // not where the browser puts the focus back
  find("view-close").addEventListener("click", () => view.close());
  find("view-previous").addEventListener("click", () => go(current - 1));
  find("view-next").addEventListener("click", () => go(current + 1));
  find("view-accept").addEventListener("click", () => judge([current], true));
  find("view-reject").addEventListener("click", () => judge([current], false));
  find("view-accept-all").addEventListener("click", () => judge(listBetween(links[current]), true));
  find("view-reject-all").addEventListener("click", () => judge(listBetween(links[current]), false));
  find("one-by-one").addEventListener("click", openView);
  find("save-groups").addEventListener("click", saveGroups);
  find("save-links").addEventListener("click", saveLinks);
  find("reset").addEventListener("click", () => {
    links.forEach((link, place) => {
      link.accepted = began[place];
      drawCard(place);
    });
    unsaved = false;
    draw("All verdicts are as they were when the page was opened.");
  });
  addEventListener("beforeunload", (event) => unsaved && event.preventDefault());
  links.forEach((_, place) => drawCard(place));
  go(0, false);
  draw();
  document.body.classList.add("judging");
})();
