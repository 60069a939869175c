/** Numbers as words. */

/** @param {number} count */
export function formatCount(count) {
  return count.toLocaleString("en");
}

/**
 * A count with its noun: "1 link", "1,200 links".
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function formatCounted(count, one, many = `${one}s`) {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** @param {number} share 0 to 1 */
export function formatShare(share) {
  return `${Math.round(100 * share)}%`;
}

/** @param {number | null} probability */
export function formatProbability(probability) {
  return probability === null ? "–" : probability.toFixed(3);
}
