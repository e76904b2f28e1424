import { derive, KIND_CODES, MUTED_CODES, type PlayDecision } from '../attribution/derive.ts';
import type { FactStore } from '../attribution/facts/fact-store.ts';
import type { KeyView } from '../attribution/facts/key-view.ts';
import type { Rules } from '../attribution/policy.ts';

/**
 * A key has at most about so many facts: a member sees a title some hundred times in a day, and what comes more often is a
 * machine, whose derivations would hold up all others.
 */
export const MOST_FACTS = 10_000;

/** Whether the loaded key has a quarter more facts than it may, so that leaving some out is worth the while. */
export function isCrowded(view: KeyView, most: number): boolean {
  return view.count > most * 1.25;
}

/**
 * Leaves the oldest facts of the loaded key out, but of a play that is open neither the first event nor those that join it to
 * the rest, and loads it again. What was written of plays that are closed stays; the batch layer knows all.
 *
 * @param openSince a play is open that ended then or later
 * @returns how many facts were left out
 */
export function capKey(
  store: FactStore,
  view: KeyView,
  key: number,
  rules: Rules,
  openSince: number,
  most: number,
): number {
  const plays = derive(view, rules).filter((play) => play.endedAt >= openSince);
  const kept = plays.flatMap((play) => chainOf(view, play, rules.stitchingGap));
  const left = view.beyond(most, kept);
  store.leaveOut(key, left);
  view.load(key);
  return left.size;
}

/** As few playback events of a play as hold it together: from the first on, each the last within the gap after the one before. */
function chainOf({ playbacks }: KeyView, { firstEvent, endedAt }: PlayDecision, gap: number): number[] {
  const { count, time, kind, muted } = playbacks;
  const chain = [firstEvent];
  let last = -1;
  for (let i = firstEvent + 1; i < count && time[i] <= endedAt; i++) {
    if (kind[i] > KIND_CODES.main || muted[i] === MUTED_CODES.yes) continue;
    if (last >= 0 && time[i] - time[chain[chain.length - 1]] > gap) chain.push(last);
    last = i;
  }
  return chain;
}
