/**
 * Attribution models: how the credit for a play is shared among the touches of its path.
 *
 * Weights are computed in integer units of 1e-9, so that the shares of a path sum to exactly 1.
 */

export const WEIGHT_UNITS = 1_000_000_000;

export type Model =
  | { name: 'last_touch' | 'first_touch' | 'linear' }
  /** `first` and `last` are the shares of the ends; what they leave is shared evenly by the touches between. */
  | { name: 'position_based'; first: number; last: number }
  /** A touch this long before the play weighs half of one at the play. Milliseconds. */
  | { name: 'time_decay'; halfLife: number };

export const MODEL_NAMES = ['last_touch', 'first_touch', 'linear', 'position_based', 'time_decay'] as const;
export type ModelName = (typeof MODEL_NAMES)[number];

/**
 * The weights of a path's touches, in units of 1e-9 that sum to `WEIGHT_UNITS`; of an empty path, none.
 *
 * @param touchedAt times of the touches in path order, the latest last, epoch milliseconds
 */
export function weigh(model: Model, touchedAt: ArrayLike<number>): number[] {
  const n = touchedAt.length;
  if (n === 0) return [];
  switch (model.name) {
    case 'last_touch':
      // The rest, which the last takes, is all of it.
      return rounded(n, () => 0);
    case 'first_touch':
      return rounded(n, (i) => (i === 0 ? 1 : 0));
    case 'linear':
      return rounded(n, () => 1 / n);
    case 'position_based': {
      const { first, last } = model;
      // With nobody between them the ends share all of it, in their own proportion.
      if (n === 2) return rounded(n, () => first / (first + last));
      // In binary, ends that share it all (0.9 and 0.1) can leave a little less than nothing.
      const between = Math.max(0, 1 - first - last) / (n - 2);
      return rounded(n, (i) => (i === 0 ? first : between));
    }
    case 'time_decay': {
      // Measured from the last touch, not from the play: the same shares, and the total never underflows to 0.
      const latest = touchedAt[n - 1];
      const decay = Array.from(touchedAt, (at) => 2 ** ((at - latest) / model.halfLife));
      const total = decay.reduce((sum, weight) => sum + weight, 0);
      return rounded(n, (i) => decay[i] / total);
    }
  }
}

/** Rounds all shares but the last, which takes the rest. */
function rounded(n: number, share: (index: number) => number): number[] {
  const weights: number[] = [];
  let rest = WEIGHT_UNITS;
  for (let i = 0; i < n - 1; i++) {
    // Hundreds of shares, each rounded up, can be more than there is where the last is due next to nothing.
    const weight = Math.min(Math.round(share(i) * WEIGHT_UNITS), rest);
    weights.push(weight);
    rest -= weight;
  }
  weights.push(rest);
  return weights;
}
