/** Places in lists. */

/**
 * What stands at a place.
 * @template T
 * @param {ArrayLike<T>} list
 * @param {number} place  0 to the last
 * @returns {T}
 * @throws {RangeError} nothing stands there
 */
export function pick(list, place) {
  if (!(place in list)) throw new RangeError(`Nothing stands at ${place} of ${list.length}.`);
  return /** @type {T} */ (list[place]);
}
