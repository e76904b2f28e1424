import { expect } from 'vitest';
import { withTransaction } from '../../platform/postgres.ts';
import { groups } from '../oracle/order.ts';
import { decide, type LogRecord } from '../oracle/oracle.ts';
import { expectRollup } from '../streaming/served.ts';
import type { LittleWorld } from './little-world.ts';

/** What a reader met. */
interface Met {
  /** Batch has them, and the speed layer still serves them. */
  openPlays: number;
  /** A day between covered ones is not covered. */
  hole: boolean;
}

/** Checks what holds for whoever reads, at every moment. */
export async function checkReader(little: LittleWorld): Promise<Met> {
  const { pool } = little.deps;
  const met = await withTransaction(
    pool,
    async (reader) => {
      const { rows: plays } = await reader.query<ServedPlay>('select * from whence.plays order by started_at');
      expect(new Set(plays.map((play) => play.play_id)).size).toBe(plays.length);
      if (little.isPlain) checkEvents(little.streamed, plays);
      checkDiscoveries(plays);
      const { rows: discoveries } = await reader.query<{ play_id: string }>('select play_id from whence.discoveries');
      const discovering = plays.filter((play) => play.is_discovery).map((play) => play.play_id);
      expect(discoveries.map((row) => row.play_id).sort()).toEqual(discovering.sort());
      const { rows: days } = await reader.query<{ covered: boolean; open_plays: number | null }>(
        'select * from whence.days',
      );
      const { rows: open } = await reader.query<{ n: number }>(
        `select count(*) as n from whence.batch_now b
         join whence.batch_days d on d.day = b.day and d.to_version is null
         where not exists (select from whence.plays p where p.play_id = b.play_id and p.layer = 'batch')`,
      );
      expect(days.reduce((sum, day) => sum + (day.open_plays ?? 0), 0)).toBe(open[0].n);
      const covered = days.map((day) => day.covered);
      const spanned = covered.lastIndexOf(true) - covered.indexOf(true);
      return { openPlays: open[0].n, hole: spanned >= covered.filter(Boolean).length };
    },
    'repeatable read',
  );
  await expectRollup(pool);
  return met;
}

interface ServedPlay {
  play_id: string;
  profile_id: string;
  work_id: string;
  started_at: Date;
  ended_at: Date;
  qualified: boolean;
  is_discovery: boolean;
  discovered_at: Date | null;
}

/** Each on-time event that was streamed is in exactly one served play. */
function checkEvents(streamed: readonly LogRecord[], plays: readonly ServedPlay[]): void {
  for (const { record, decision } of decide(streamed)) {
    const { event } = record;
    if (event.type !== 'playback' || decision !== 'applied') continue;
    const holding = plays.filter(
      (play) =>
        play.profile_id === event.profile_id &&
        play.work_id === event.title_id &&
        play.started_at.getTime() <= event.event_time &&
        play.ended_at.getTime() >= event.event_time,
    );
    expect(holding.length, `plays that hold ${event.event_id} of ${record.topic}`).toBe(1);
  }
}

/** Of each key with a qualified play, the earliest one is the discovery, and those after it name it. */
function checkDiscoveries(plays: readonly ServedPlay[]): void {
  const keys = groups([...plays], (play) => `${play.profile_id}\0${play.work_id}`);
  for (const ofKey of keys) {
    const first = ofKey.findIndex((play) => play.qualified);
    ofKey.forEach((play, i) => {
      expect(play.is_discovery).toBe(i === first);
      expect(play.discovered_at).toEqual(first >= 0 && i >= first ? ofKey[first].started_at : null);
    });
  }
}
