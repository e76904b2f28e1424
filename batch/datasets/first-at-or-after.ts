/** Of ascending times, the index of the first that is not before `time`; their number where there is none. */
export function firstAtOrAfter(times: ArrayLike<number>, time: number, count = times.length): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
