import type { Queryable } from '../platform/postgres.ts';

/** What has become of all records so far. */
export interface Totals {
  consumed: number;
  applied: number;
  duplicate: number;
  late: number;
  excluded: number;
  dead_lettered: number;
  plays: number;
}

/** From this share on, late records are no accident of the network. */
const MANY_LATE = 0.2;

export async function readTotals(database: Queryable): Promise<Totals> {
  const { rows } = await database.query<Totals>(
    `select coalesce(sum(consumed), 0)::bigint as consumed, coalesce(sum(applied), 0)::bigint as applied,
       coalesce(sum(duplicate), 0)::bigint as duplicate, coalesce(sum(late), 0)::bigint as late,
       coalesce(sum(excluded), 0)::bigint as excluded, coalesce(sum(dead_lettered), 0)::bigint as dead_lettered,
       (select count(*) from whence.speed_plays) as plays
     from whence.ledger`,
  );
  return rows[0];
}

/** For people: what a run of the stream did, in a line, and in another what is odd about it. */
export function summarize(before: Totals, after: Totals): string[] {
  const of = (name: keyof Totals) => after[name] - before[name];
  const n = (name: keyof Totals) => of(name).toLocaleString('en');
  const lines = [
    `Read ${n('consumed')} records: ${n('applied')} applied, ${n('duplicate')} duplicate, ${n('late')} late, ` +
      `${n('excluded')} excluded, ${n('dead_lettered')} dead-lettered. Plays now: ${after.plays.toLocaleString('en')}.`,
  ];
  if (of('late') > of('consumed') * MANY_LATE) {
    lines.push(
      'Many records were late: dated more than 10 minutes before others that were read earlier in their partition. The speed ' +
        'layer never applies these (docs/rules.md, late events); send what is oldest first.',
    );
  }
  return lines;
}
