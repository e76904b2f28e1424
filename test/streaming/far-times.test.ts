import { expect, test } from 'vitest';
import { defaultPolicy } from '../../attribution/policy.ts';
import { restoreCheckpoint } from '../../streaming/checkpoint-load.ts';
import { storeCheckpoint } from '../../streaming/checkpoint-write.ts';
import { TaskState } from '../../streaming/task-state.ts';
import { BASE, impression, playback } from '../core/samples.ts';
import { recordOfValue } from '../records.ts';
import { memoryStorage } from './memory-storage.ts';

const TOPICS = ['impressions', 'playback'];
const LATEST = 8.64e15;

/** Without a timestamp of Kafka, whatever the contract allows passes. */
const record = (event: object, offset: number) => recordOfValue(Buffer.from(JSON.stringify(event)), offset);

test('a restart after records of the farthest times that the contract allows gives the plays of a calm run', async () => {
  const place = { storage: memoryStorage().storage, prefix: 'c/', epoch: 1, policy: 'x' };
  const run = async (restart: boolean) => {
    let state = new TaskState(0, TOPICS, defaultPolicy, {}, {});
    state.read(0, record(impression({ event_id: 'i', event_time: BASE - 1000 }), 0), false);
    for (const [i, time] of [LATEST, 1, LATEST - 1, 0].entries()) {
      state.read(0, record(impression({ event_id: `far ${i}`, event_time: time, title_id: 'other' }), 1 + i), false);
    }
    state.read(1, record(playback({ event_id: 'a', event_time: BASE }), 0), false);
    state.takeDelta([false, false]);
    if (restart) {
      const { head } = await storeCheckpoint(place, state.cut(), new WeakMap(), new AbortController().signal);
      const wanted = { topics: TOPICS, policy: defaultPolicy, earliest: [0, 0], committed: [9, 9] };
      const { state: restored } = await restoreCheckpoint(place, head, wanted);
      state = new TaskState(0, TOPICS, defaultPolicy, {}, {}, restored);
    }
    state.read(1, record(playback({ event_id: 'b', action: 'stop', event_time: BASE + 60_000 }), 1), false);
    return state.takeDelta([false, false]).plays.rows;
  };
  const calm = await run(false);
  expect(calm).toMatchObject([{ started_at: new Date(BASE).toISOString(), watched_ms: 60_000 }]);
  expect(await run(true)).toEqual(calm);
});
