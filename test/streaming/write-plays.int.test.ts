import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultPolicy } from '../../attribution/policy.ts';
import { createDatabase, startTestStack, type TestStack } from '../../local/testing.ts';
import { registerPolicy } from '../../merge/register-policy.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, pipelineBeside, type Pool } from '../../platform/postgres.ts';
import { withStatements } from '../../platform/statements.ts';
import { writePlays } from '../../streaming/sql/write-plays.ts';
import { PlaysToWrite, type SpeedPlayRow } from '../../streaming/plays-to-write.ts';
import { TaskState } from '../../streaming/task-state.ts';
import { recordsOfLines } from '../records.ts';
import { simulated } from './world.ts';

let stack: TestStack<'postgres'>;
beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
});
afterAll(() => stack.stop());

async function emptyDatabase(): Promise<Pool & { pipeline: Pool }> {
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const pool = await openPool({ databaseUrl, applicationName: 'test', log: silentLogger() });
  await registerPolicy(pool, defaultPolicy);
  return Object.assign(pool, { pipeline: pipelineBeside(pool, silentLogger()) });
}

/** The plays of a simulated log, some with texts that need care. */
function derived(): SpeedPlayRow[] {
  const state = new TaskState(0, ['impressions', 'playback'], defaultPolicy, {}, {});
  const plays = new Map<string, SpeedPlayRow>();
  const take = () => {
    for (const play of state.takeDelta([false, false]).plays.rows) plays.set(play.play_id, play);
  };
  for (const { topic, record } of recordsOfLines(simulated(250, 2, 8).lines)) {
    state.read(topic, record, false);
    // So few at once are rows.
    if (state.pending === 1_000) take();
  }
  take();
  const texts = ['a\tb\nc\rd', '\\N', '{"x":"\\"}', '', 'é～𝒜', 'NULL', '{}', "'; --"];
  const rows = [...plays.values()];
  for (const [index, play] of rows.entries()) {
    if (index % 3 !== 0) continue;
    const text = texts[index % texts.length];
    play.title_id = text;
    play.sop_row_id = index % 2 === 0 ? null : text;
    play.playback_ids = [text, ...play.playback_ids];
    play.path_row_id = play.path_row_id.map((id, i) => (i % 2 === 0 ? null : `${text}${id}`));
  }
  return rows;
}

function toWrite(rows: readonly SpeedPlayRow[]): PlaysToWrite {
  const plays = new PlaysToWrite();
  for (const row of rows) plays.add(row, defaultPolicy);
  return plays;
}

async function held(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query('select p::text as row from whence.speed_plays p order by play_id');
  return rows.map(({ row }: { row: string }) => row);
}

test('plays are written the same whether they are many at once or few at a time, and again over what is there', async () => {
  const plays = derived();
  const touched = plays.map((play) => ({ ...play, affected_from: play.ended_at }));
  expect(plays.length).toBeGreaterThan(600);
  const [few, many] = [await emptyDatabase(), await emptyDatabase()];
  for (let at = 0; at < plays.length; at += 100) {
    await withStatements(few.pipeline, (statements) =>
      writePlays(statements, [{ task: 0, delta: { touched: [], plays: toWrite(plays.slice(at, at + 100)) } }]),
    );
  }
  for (let times = 0; times < 2; times++) {
    await withStatements(many, (statements) =>
      writePlays(statements, [{ task: 0, delta: { touched, plays: toWrite(plays) } }]),
    );
    expect(await held(many)).toEqual(await held(few));
  }
  expect(await held(few)).toHaveLength(plays.length);
  const changed = plays.map((play) => ({ ...play, title_id: `${play.title_id}!` }));
  await withStatements(many, (statements) =>
    writePlays(statements, [{ task: 0, delta: { touched, plays: toWrite(changed) } }]),
  );
  for (const play of changed)
    await withStatements(few.pipeline, (statements) =>
      writePlays(statements, [{ task: 0, delta: { touched: [], plays: toWrite([play]) } }]),
    );
  expect(await held(many)).toEqual(await held(few));
  await Promise.all([few, many].flatMap((pool) => [pool.end(), pool.pipeline.end()]));
});
