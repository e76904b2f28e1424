import { prepared } from '../../platform/postgres.ts';
import type { StatementRunner } from '../../platform/statements.ts';
import type { LedgerRow } from '../ledger.ts';
import type { DeadLetterRow } from '../task-state.ts';

/** Adds the counts of a commit, each of a partition. */
export async function addToLedger(
  database: StatementRunner,
  rows: readonly (LedgerRow & { partition: number })[],
): Promise<void> {
  if (rows.length === 0) return;
  await database.query(
    prepared(
      `insert into whence.ledger as l
       (topic, partition, day, consumed, applied, duplicate, late, excluded, dead_lettered, conflicts)
     select n.topic, n.partition, date '1970-01-01' + n.epoch_day, n.consumed, n.applied, n.duplicate, n.late, n.excluded,
       n.dead_lettered, n.conflicts
     from json_to_recordset($1) as n (
       topic text, partition integer, epoch_day integer, consumed bigint, applied bigint, duplicate bigint, late bigint,
       excluded bigint, dead_lettered bigint, conflicts bigint
     )
     on conflict (topic, partition, day) do update set
       consumed = l.consumed + excluded.consumed, applied = l.applied + excluded.applied,
       duplicate = l.duplicate + excluded.duplicate, late = l.late + excluded.late,
       excluded = l.excluded + excluded.excluded, dead_lettered = l.dead_lettered + excluded.dead_lettered,
       conflicts = l.conflicts + excluded.conflicts`,
      [JSON.stringify(rows)],
    ),
  );
}

/** Keeps the records that are no events. */
export async function addDeadLetters(
  database: StatementRunner,
  partition: number,
  rows: readonly DeadLetterRow[],
): Promise<void> {
  await Promise.all([...slices(rows)].map((slice) => addSlice(database, partition, slice)));
}

/** Letters are whole records: no statement may grow with their number. */
const SLICE_BYTES = 8 * 1024 * 1024;

function* slices(rows: readonly DeadLetterRow[]): Generator<DeadLetterRow[]> {
  let slice: DeadLetterRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    slice.push(row);
    bytes += (row.value?.length ?? 0) + (row.key?.length ?? 0);
    if (bytes < SLICE_BYTES) continue;
    yield slice;
    slice = [];
    bytes = 0;
  }
  if (slice.length > 0) yield slice;
}

/**
 * A record that was a dead letter before and was sent again is still that letter, and open again: it is no second one. It is
 * known by the token of its batch and by its value. Where it was sent once more since, that later sending decides.
 */
async function addSlice(database: StatementRunner, partition: number, rows: readonly DeadLetterRow[]): Promise<void> {
  await database.query({
    text: `with n as (
       select * from json_to_recordset($2) as n (
         topic text, "offset" bigint, epoch_day integer, reason text, field text, message text, key bytea, value bytea,
         stamped_at timestamptz, token uuid, letter bigint
       )
     ), again as (
       select l.id, r.replay, n.topic, n."offset", n.reason, n.field, n.message
       from n
       join whence.replays r on r.token = n.token
       join whence.dead_letters l on l.id = n.letter and l.topic = n.topic and l.value is not distinct from n.value
       order by l.id for update of l
     ), latest as (
       select distinct on (id) id, reason, field, message, count(*) over (partition by id) as times,
         max(replay) over (partition by id) as replay
       from again order by id, replay desc, "offset" desc
     ), reopened as (
       update whence.dead_letters l set reason = t.reason, field = t.field, message = t.message,
         replays = l.replays + t.times,
         replay = case when l.replay > t.replay then l.replay end,
         replayed_at = case when l.replay > t.replay then l.replayed_at end
       from latest t where l.id = t.id
     )
     insert into whence.dead_letters
       (topic, partition, "offset", day, reason, field, message, key, value, stamped_at)
     select n.topic, $1, n."offset", date '1970-01-01' + n.epoch_day, n.reason, n.field, n.message, n.key, n.value,
       n.stamped_at
     from n where not exists (select from again a where a.topic = n.topic and a."offset" = n."offset")`,
    values: [partition, JSON.stringify(rows)],
  });
}
