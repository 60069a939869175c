/**
 * The one place that writes CSV: for the page, and for the audit page.
 *
 * A text that a spreadsheet would run as a formula gets an apostrophe in front, as a file's name may
 * be anybody's (OWASP, "CSV injection"). Numbers stay as they are.
 */

const FORMULA = /^'*[=+\-@\t\r＝＋－＠]/; // as `defuse` of io/formulas.py
const QUOTED = /[",\n\r]/;

/**
 * @param {string[]} columns
 * @param {(string | number | null)[][]} rows
 */
export function writeCsv(columns, rows) {
  return [columns, ...rows].map((row) => `${row.map(writeCell).join(",")}\n`).join("");
}

/** @param {string | number | null} value */
function writeCell(value) {
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value ?? "");
  return QUOTED.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
