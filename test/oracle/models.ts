/** The models: how the credit for a play is shared over its kept path. */

import type { OracleParameters } from './parameters.ts';
import type { Model, Touch } from './types.ts';

export const MODELS: readonly Model[] = ['last_touch', 'first_touch', 'linear', 'position_based', 'time_decay'];

/** One weight for each touch of the path, summing to 1. */
export function weights(
  model: Model,
  path: readonly Touch[],
  startedAt: number,
  parameters: OracleParameters,
): number[] {
  return rounded(shares(model, path, startedAt, parameters));
}

function shares(model: Model, path: readonly Touch[], startedAt: number, parameters: OracleParameters): number[] {
  const count = path.length;
  const last = count - 1;
  switch (model) {
    case 'last_touch':
      return path.map((_, index) => (index === last ? 1 : 0));
    case 'first_touch':
      return path.map((_, index) => (index === 0 ? 1 : 0));
    case 'linear':
      return path.map(() => 1 / count);
    case 'position_based': {
      // One touch 1, two touches a half each, else 40 / 20 / 40 with the middle shared evenly.
      if (count <= 2) return path.map(() => 1 / count);
      const { positionBased } = parameters;
      return path.map((_, index) => {
        if (index === 0) return positionBased.first;
        return index === last ? positionBased.last : positionBased.middle / (count - 2);
      });
    }
    case 'time_decay': {
      // Half as much for each half-life before T, normalised.
      const decayed = path.map(({ touched_at }) => 0.5 ** ((startedAt - touched_at) / parameters.halfLife));
      const sum = decayed.reduce((total, share) => total + share, 0);
      return decayed.map((share) => share / sum);
    }
  }
}

const UNITS = 1_000_000_000;

/** Rounded to 1e-9, with the rest on the last. */
function rounded(exact: readonly number[]): number[] {
  const units = exact.map((share) => Math.round(share * UNITS));
  const others = units.slice(0, -1).reduce((total, share) => total + share, 0);
  return units.map((share, index) => (index === units.length - 1 ? UNITS - others : share) / UNITS);
}
