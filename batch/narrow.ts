import { derive, type KeyFacts, type PlayDecision } from '../attribution/derive.ts';
import { type PlayRow, playRow } from '../attribution/play-row.ts';
import { describePlay, type KeyWords } from '../attribution/plays.ts';
import type { Policy } from '../attribution/policy.ts';

/** The columns in which a play of one layer is held against that of the other: what each decided, not what follows. */
export const COMPARED = [
  ['play_id', 'playback_id', 'title_id', 'country', 'device_type', 'ended_at', 'watched_ms', 'qualified'],
  ['inferred_start', 'inferred_end', 'rule', 'orphan_token', 'own_assisted'],
  ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'].flatMap((name) => [
    `sop_${name}`,
    `own_${name}`,
  ]),
].flat() as (keyof PlayRow)[];

/**
 * What each play would say with the windows of the speed layer, as far as that is something else; null where it is not. So a
 * difference between the layers that is only that of their windows is known as such.
 *
 * @param decisions with the windows of the batch layer, of these facts
 */
export function narrowed(
  facts: KeyFacts & KeyWords,
  decisions: readonly PlayDecision[],
  policy: Policy,
): (Record<string, unknown> | null)[] {
  const { speed, batch } = policy.rules;
  const oldest = facts.impressions.count > 0 ? facts.impressions.time[0] : Infinity;
  const reaches = decisions.map(({ startedAt }) => oldest < startedAt - speed.discoveryWindow);
  if (speed.discoveryWindow === batch.discoveryWindow || !reaches.includes(true)) return decisions.map(() => null);
  const narrow = new Map(derive(facts, speed).map((play) => [play.startedAt, play]));
  return decisions.map((decision, i) => {
    const other = narrow.get(decision.startedAt);
    if (!reaches[i] || other === undefined) return null;
    const [wide, small] = [decision, other].map((each) => playRow(describePlay(each, facts), policy));
    const different = COMPARED.filter((column) => wide[column] !== small[column]);
    return different.length === 0 ? null : Object.fromEntries(different.map((column) => [column, small[column]]));
  });
}
