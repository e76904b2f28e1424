/** The ground of the batch tests, with a real Temporal beside: workers here or in processes of their own. */

import { fileURLToPath } from 'node:url';
import path from 'node:path';
import type { WorkflowFailedError, WorkflowOptions } from '@temporalio/client';
import { execa, type ResultPromise } from 'execa';
import type { AdvanceOutcome } from '../../activities/activities.ts';
import { startTestStack } from '../../local/testing.ts';
import { silentLogger } from '../../platform/log.ts';
import { connectTemporal, type TemporalClient, type TemporalOptions } from '../../platform/temporal.ts';
import { type RunningWorker, startWorker, type WorkerOptions } from '../../worker/start-worker.ts';
import { installRuntime } from '../../worker/temporal-log.ts';
import { playback, impression } from '../core/samples.ts';
import type { Event } from '../../attribution/events.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { type Ground, LittleWorld, openGround } from '../batch/little-world.ts';

export const DAY = '2025-11-24';
const NOON = Date.parse(`${DAY}T12:00:00Z`);
const MINUTE = 60_000;
/** Of workflows whose workers are killed: what one held is missed soon. */
export const MISSED_SOON = { memo: { heartbeatTimeout: 3_000 }, workflowTaskTimeout: '2s' } as const;
const CRASHING = fileURLToPath(new URL('crashing-worker.ts', import.meta.url));

export interface TemporalGround {
  ground: Ground;
  temporal: TemporalOptions;
  uiUrl: string;
  client: TemporalClient['client'];
  taskQueue: string;
  /** A worker in this process. */
  startWorker(little: LittleWorld, more?: Partial<WorkerOptions>): Promise<RunningWorker>;
  /** A worker in a process of its own, which kills itself at a step ("none": it does not). */
  spawnWorker(step: string): ResultPromise<{ reject: false }>;
  reconcile(day: string, more?: Pick<WorkflowOptions, 'memo' | 'workflowTaskTimeout'>): Promise<AdvanceOutcome>;
  /** Kills Temporal (−9) and starts it again. */
  restartTemporal(): Promise<void>;
  stop(): Promise<void>;
}

export async function openTemporalGround(): Promise<TemporalGround> {
  installRuntime(silentLogger());
  const [ground, stack] = await Promise.all([openGround(), startTestStack({ services: ['temporal'] })]);
  const { address, uiUrl } = stack.temporal;
  const temporal = { address, namespace: 'default' };
  const { client, close } = await connectTemporal({ ...temporal, identity: 'a tester' });
  const taskQueue = 'test';
  return {
    ground,
    temporal,
    uiUrl,
    client,
    taskQueue,
    startWorker: (little, more = {}) =>
      startWorker({ temporal, taskQueue, deps: little.deps, concurrency: 2, ...more }),
    spawnWorker: (step) =>
      execa(process.execPath, ['--import', 'tsx', CRASHING, step], {
        env: {
          DATABASE_URL: ground.databaseUrl,
          WHENCE_DATA_DIR: path.join(ground.directory, 'data'),
          TEMPORAL_ADDRESS: address,
          WHENCE_TASK_QUEUE: taskQueue,
        },
        reject: false,
      }),
    reconcile: (day, more) =>
      client.workflow.execute<(input: { day: string }) => Promise<AdvanceOutcome>>('reconcileDay', {
        workflowId: `reconcileDay/${day}`,
        taskQueue,
        args: [{ day }],
        ...more,
      }),
    async restartTemporal() {
      await stack.temporal.kill();
      await stack.restart('temporal');
    },
    async stop() {
      await close();
      await Promise.all([ground.stop(), stack.stop()]);
    },
  };
}

/** A row, and a play of it an hour later, for so many profiles; all archived, on so many days, `DAY` the first, in files of so many records. */
export async function archivedWorld(ground: Ground, profiles = 20, days = 2, ofFile = Infinity): Promise<LittleWorld> {
  const little = await LittleWorld.create(ground, smallLog(profiles, days));
  for (const { topic, partition } of little.places) {
    while (little.archivedTo(topic, partition) < little.recordsOf(topic, partition).length) {
      await little.archive(topic, partition, ofFile);
    }
    await little.fallQuiet(topic, partition);
  }
  for (const partition of little.partitions) await little.stream(partition, Infinity);
  return little;
}

function smallLog(profiles: number, days: number): LogRecord[] {
  const events = Array.from({ length: days }, (_, day) => day).flatMap((day) =>
    Array.from({ length: profiles }, (_, i) => eventsOf(`p${i}`, NOON + day * 86_400_000 + i * MINUTE)).flat(),
  );
  const ordered = events.toSorted((a, b) => a.event_time - b.event_time);
  return ordered.map((event, offset) => ({ topic: 'events', partition: 0, offset, event }));
}

function eventsOf(profile_id: string, at: number): Event[] {
  const common = { profile_id, series_id: null };
  const id = `${profile_id}-${at}`;
  const of = (minutes: number, action: 'start' | 'heartbeat' | 'stop') =>
    playback({
      ...common,
      action,
      event_id: `${id}-${action}`,
      event_time: at + minutes * MINUTE,
      playback_id: id,
      title_id: 't1',
      origin: null,
    });
  return [
    impression({ ...common, event_id: `${id}-i`, event_time: at, title_id: 't1' }),
    of(60, 'start'),
    of(61, 'heartbeat'),
    of(63, 'stop'),
  ];
}

/** What the innermost failure of a workflow says. */
export function reasonOf(failure: WorkflowFailedError): string {
  let reason: Error = failure;
  while (reason.cause instanceof Error) reason = reason.cause;
  return reason.message;
}
