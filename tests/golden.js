/** What Python wrote, asserted of the page's functions: `compare` lists what differs. */

const CLOSE = 1e-12;

/**
 * @param {any} vectors  as tests/test_golden.py writes them
 * @param {any} modules  by name: deciding, formatting, joining, table
 */
export function compare(vectors, { deciding, formatting, joining, table }) {
  /** @type {string[]} */
  const wrong = [];
  let checked = 0;
  /** @type {(what: unknown, found: unknown, expected: unknown) => void} */
  const expect = (what, found, expected) => {
    checked += 1;
    if (!agree(found, expected)) wrong.push(`${JSON.stringify(what)}: ${JSON.stringify(found)}, Python says ${JSON.stringify(expected)}`);
  };
  const { facts } = vectors;
  for (const [found, n, ...interval] of vectors.wilson) {
    expect(["wilson", found, n], deciding.computeWilson(found, n, facts.wilson_z), interval);
  }
  for (const [probability, threshold, call] of vectors.calls) {
    expect(["call", probability, threshold], deciding.callCell({ probability }, threshold), call);
  }
  for (const { line, threshold, cells, subjects } of vectors.subjects) {
    const summarised = deciding.aggregateSubjects(cells, threshold, { ...facts, subject_line: line });
    expect(["subjects", line], indexByName(summarised), indexByName(subjects)); // each sorts names its own way
  }
  const { cells, threshold, lines } = vectors.answers;
  expect(["answers"], deciding.writeAnswers(cells, threshold), lines);
  for (const { columns, rows, text } of vectors.tables) expect(["table", rows], table.writeCsv(columns, rows), text);
  for (const [name, value, text] of vectors.words) expect([name, value], formatting[name](value), text);
  for (const { names, links, groups } of vectors.groups) {
    const accepted = links.map((/** @type {[number, number]} */ [a, b]) => ({ a, b, accepted: true }));
    const review = { names, fixed: [], file: "", links: accepted };
    const found = joining.groupNames(review);
    expect(["groups", links], found.map((/** @type {number} */ group) => joining.nameGroup(review, found, group)), groups);
  }
  return { checked, wrong };
}

/** @param {{name: string}[]} subjects */
function indexByName(subjects) {
  return Object.fromEntries(subjects.map((subject) => [subject.name, subject]));
}

/**
 * Equal, numbers to 1e-12; `found` may say more of an object than `expected` does.
 * @param {any} found
 * @param {any} expected
 * @returns {boolean}
 */
function agree(found, expected) {
  if (typeof expected === "number") return typeof found === "number" && Math.abs(found - expected) <= CLOSE;
  if (expected === null || typeof expected !== "object") return found === expected;
  if (Array.isArray(expected) && found?.length !== expected.length) return false;
  return Object.entries(expected).every(([key, value]) => agree(found?.[key], value));
}
