import type { PlayDecision } from '../attribution/derive.ts';
import { DAY, utcDay } from '../attribution/time.ts';

/**
 * The policy of a play's first covered day, undefined where it has none: every day from its start to its end has an event.
 *
 * @param policyOf the hash of the policy of each covered day
 */
export function policyOfPlay(
  { startedAt, endedAt }: Pick<PlayDecision, 'startedAt' | 'endedAt'>,
  policyOf: ReadonlyMap<string, string>,
): string | undefined {
  for (let day = Math.floor(startedAt / DAY); day <= Math.floor(endedAt / DAY); day++) {
    const policy = policyOf.get(utcDay(day * DAY));
    if (policy !== undefined) return policy;
  }
  return undefined;
}
