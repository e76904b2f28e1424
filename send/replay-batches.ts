import { conditionOf, type DeadLetterFilter } from '../observe/dead-letters.ts';
import type { Queryable } from '../platform/postgres.ts';

/** A batch that was begun: whether Kafka has it, its marker says. */
export interface ReplayBatch {
  replay: number;
  /** The topic whose partition 0 bears the marker. */
  topic: string;
}

export interface Letter {
  id: number;
  topic: string;
  partition: number;
  offset: number;
  key: Buffer | null;
  value: Buffer | null;
}

export interface BegunBatch extends ReplayBatch {
  token: string;
  /** In the order in which they came. */
  letters: Letter[];
}

const AT_A_TIME = 200;
const MOST_BYTES = 8 * 1024 * 1024;

/**
 * Begins a batch of the next letters after the id `after`, up to `last`: as many as fit together, and at least one. One
 * statement, so that a batch and its letters are there together or not at all.
 *
 * @returns null where there is none left
 */
export async function beginReplay(
  database: Queryable,
  filter: DeadLetterFilter,
  after: number,
  last: number,
): Promise<BegunBatch | null> {
  const { where, values } = conditionOf(filter);
  const [from, to, bytes] = [1, 2, 3].map((more) => `$${values.length + more}`);
  const { rows } = await database.query<Letter & { token: string; replay: number; marker: string }>(
    `with next as (
       select id, topic, sum(coalesce(octet_length(value), 0)) over (order by id) as bytes,
         row_number() over (order by id) as place
       from (
         select id, topic, value from whence.dead_letters
         where ${where} and id > ${from} and id <= ${to} order by id limit ${AT_A_TIME} for update
       ) locked
     ), chosen as (
       select id, topic from next where bytes <= ${bytes} or place = 1
     ), batch as (
       insert into whence.replays (topic) select topic from chosen order by id limit 1 returning replay, token, topic
     )
     update whence.dead_letters l set replay = batch.replay from chosen, batch where l.id = chosen.id
     returning l.id, l.topic, l.partition, l."offset", l.key, l.value, batch.token, batch.replay, batch.topic as marker`,
    [...values, after, last, MOST_BYTES],
  );
  if (rows.length === 0) return null;
  const [{ replay, token, marker }] = rows;
  return { replay, token, topic: marker, letters: rows.sort((a, b) => a.id - b.id) };
}

/** The batch of which it is not known here whether Kafka has it: never more than one. */
export async function findReplayInDoubt(database: Queryable): Promise<ReplayBatch | null> {
  const { rows } = await database.query<ReplayBatch>('select replay, topic from whence.replays where sent_at is null');
  return rows[0] ?? null;
}

/** Kafka has the batch. A letter that came back since, still wrong, is in it no more. */
export async function markReplay(database: Queryable, replay: number): Promise<void> {
  await database.query(
    `with locked as (select id from whence.dead_letters where replay = $1 order by id for update),
       batch as (update whence.replays set sent_at = now() where replay = $1)
     update whence.dead_letters l set replayed_at = now() from locked where l.id = locked.id`,
    [replay],
  );
}

/** These letters of the batch are not sent with it. */
export async function takeOut(database: Queryable, replay: number, letters: readonly number[]): Promise<void> {
  if (letters.length === 0) return;
  await database.query('update whence.dead_letters set replay = null where replay = $1 and id = any($2)', [
    replay,
    letters,
  ]);
}

/** Kafka does not have the batch, and never will: its letters are as they were before. */
export async function undoReplay(database: Queryable, replay: number): Promise<void> {
  await database.query('update whence.dead_letters set replay = null where replay = $1', [replay]);
  await database.query('delete from whence.replays where replay = $1', [replay]);
}
