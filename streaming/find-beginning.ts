import type { Checkpoints } from './checkpoints.ts';
import { RecordsLostError, TopicRecreatedError } from './errors.ts';
import { forgetCheckpoints } from './sql/forget-checkpoint.ts';
import type { TakenTask } from './sql/take-task.ts';
import type { TaskOptions } from './task.ts';
import type { RestoredState } from './task-state.ts';
import type { LogBounds } from './topics.ts';

/** Where a task that was taken begins: at the state of a checkpoint, or at replay points of the log. */
export interface Beginning extends Pick<TakenTask, 'offsets' | 'replay'> {
  restored?: RestoredState;
}

type Log = Pick<
  TaskOptions,
  'number' | 'topics' | 'policy' | 'pool' | 'log' | 'bounds' | 'acceptDataLoss' | 'recreated'
>;

/**
 * Finds where a task begins to read, from what was stored and what the log holds now. Where records are lost and that is
 * accepted, what is stored is taken to begin with what the log holds.
 *
 * @throws RecordsLostError, TopicRecreatedError where the log no longer is what the stored offsets are of
 */
export async function findBeginning(
  { number, topics, policy, pool, log, bounds, acceptDataLoss, recreated }: Log,
  taken: TakenTask,
  checkpoints: Checkpoints | null,
): Promise<Beginning> {
  const offsets = { ...taken.offsets };
  const replay = { ...taken.replay };
  const torn = topics.map((topic, index) => {
    if (recreated.has(topic)) return new TopicRecreatedError(topic, number, 'as was found before');
    return logFault(topic, number, offsets[topic]?.next ?? 0, bounds[index]);
  });
  if (topics.every((topic, index) => torn[index] === null || offsets[topic] === undefined)) {
    const committed = topics.map((topic) => offsets[topic]?.next ?? 0);
    const earliest = bounds.map((bound) => bound.earliest);
    const restored = await checkpoints?.load({ policy, topics, earliest, committed });
    if (restored !== undefined) return { offsets, replay, restored };
  }
  for (const [index, topic] of topics.entries()) {
    const known = offsets[topic];
    const point = replay[topic] ?? { offset: 0, clock: null };
    const { earliest } = bounds[index];
    const fault = torn[index] ?? replayFault(topic, number, point.offset, bounds[index]);
    if (fault === null) continue;
    if (known === undefined) {
      // A log that was trimmed before it was ever read has lost nothing of ours.
      replay[topic] = { offset: earliest, clock: null };
      continue;
    }
    if (!acceptDataLoss) throw fault;
    // They are of the log that is gone.
    await forgetCheckpoints(pool, number);
    log.warn({ task: number, topic }, `accepting data loss: ${fault.message}`);
    const anew = fault instanceof TopicRecreatedError;
    replay[topic] = { offset: earliest, clock: anew ? null : point.clock };
    if (anew || known.next < earliest) offsets[topic] = { next: earliest, last: null };
  }
  return { offsets, replay };
}

/** What is wrong between the offset that is to be applied next and the log, or null. */
function logFault(topic: string, partition: number, from: number, log: LogBounds): Error | null {
  if (from > log.next) {
    return new TopicRecreatedError(topic, partition, `it ends at offset ${log.next}, and ${from} was reached before`);
  }
  if (from < log.earliest) return new RecordsLostError(topic, partition, from, log.earliest, 'reading on');
  return null;
}

/** The same for where reading begins, to rebuild the state. */
function replayFault(topic: string, partition: number, begin: number, log: LogBounds): Error | null {
  if (begin >= log.earliest) return null;
  return new RecordsLostError(topic, partition, begin, log.earliest, 'rebuilding the state of the window');
}
