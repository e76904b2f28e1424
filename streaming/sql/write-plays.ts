import { keySetOf } from '../../merge/keys.ts';
import { arrayText } from '../../platform/array-text.ts';
import { copyPieces } from '../../platform/copy-rows.ts';
import { prepared } from '../../platform/postgres.ts';
import type { Statements } from '../../platform/statements.ts';
import { SPEED_PLAY_COLUMNS, type SpeedPlayRow } from '../plays-to-write.ts';
import type { Delta } from '../task-state.ts';

/** Of a commit: the keys that its task touched, and all their plays that may have changed. */
interface TaskPlays {
  task: number;
  delta: Pick<Delta, 'touched' | 'plays'>;
}

/**
 * Replaces the plays of the touched keys that end where something changed, or later: what is derived now is written, what
 * is no longer derived (a play that became one with another, or starts earlier now) goes. In a transaction.
 * A producer that spreads a profile over partitions gives two tasks a part of its plays each; neither deletes the other's.
 *
 * @param commits of several tasks that have no key in common; of one alone where its plays are copied
 * @param keys all that are touched
 */
export async function writePlays(
  statements: Statements,
  commits: readonly TaskPlays[],
  keys = keySetOf(commits.flatMap(({ delta }) => delta.touched)),
): Promise<void> {
  const deleted = statements.query(
    prepared(
      // Keys are looked up one by one (which is what OFFSET is for), and then plays by their ids, whatever is known of how many
      // plays there are.
      `delete from whence.speed_plays p where p.play_id = any (array(
       select of_key.play_id
       from unnest($1::text[], $2::text[], $3::timestamptz[], $4::integer[]) as t (profile_id, work_id, affected_from, task)
       cross join lateral (
         select o.play_id, o.ended_at, o.task from whence.speed_plays o
         where o.profile_id = t.profile_id and o.work_id = t.work_id offset 0
       ) of_key
       where of_key.ended_at >= t.affected_from and of_key.task = t.task
         -- All of them as one array, which is looked up by hash.
         and of_key.play_id <> all ($5::uuid[])
     ))`,
      [
        ...keys.parameters,
        arrayText(commits.flatMap(({ delta }) => delta.touched.map((key) => key.affected_from))),
        arrayText(commits.flatMap(({ task, delta }) => delta.touched.map(() => task))),
        arrayText(commits.flatMap(({ delta }) => delta.plays.ids)),
      ],
    ),
  );
  const copy = commits[0]?.delta.plays.copy;
  const rows = commits.flatMap(({ delta }) => delta.plays.rows);
  if (copy) {
    // Which a connection in a pipeline cannot do.
    await deleted;
    await statements.query({ text: 'create temp table written_plays (like whence.speed_plays) on commit drop' });
    await copyPieces(statements.client, 'written_plays', SPEED_PLAY_COLUMNS, copy.pieces());
    await statements.query({ text: upsertFrom('written_plays') });
  } else if (rows.length > 0) {
    // One parameter, whatever the number of columns and the length of their arrays.
    await statements.query(prepared(UPSERT_FROM_JSON, [JSON.stringify(rows)]));
  }
}

function upsertFrom(rows: string): string {
  const columns = SPEED_PLAY_COLUMNS.join(', ');
  return `
    insert into whence.speed_plays (${columns})
    select ${columns} from ${rows}
    on conflict (play_id) do update set ${UPDATES}`;
}

/** What a play's id is made of. */
const ID_COLUMNS: readonly (keyof SpeedPlayRow)[] = ['play_id', 'profile_id', 'work_id', 'day', 'started_at'];
const UPDATES = SPEED_PLAY_COLUMNS.filter((name) => !ID_COLUMNS.includes(name))
  .map((name) => `${name} = excluded.${name}`)
  .join(', ');
const UPSERT_FROM_JSON = upsertFrom('json_populate_recordset(null::whence.speed_plays, $1)');
