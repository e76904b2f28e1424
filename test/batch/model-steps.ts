import fc from 'fast-check';
import { expect } from 'vitest';
import { abandonAttempt } from '../../batch/abandon-attempt.ts';
import { planBackfill } from '../../batch/backfill/plan.ts';
import { checkPreview, previewAttempt } from '../../batch/backfill/preview.ts';
import { beginAttempt } from '../../batch/begin-attempt.ts';
import { type BatchCommitStep, commitAttempt } from '../../batch/commit-attempt.ts';
import { computeUnit } from '../../batch/compute-unit.ts';
import { AuditFailedError, CommitLostError, VersionHeldError } from '../../batch/errors.ts';
import { recordCorrections } from '../../batch/record-corrections.ts';
import { compactArchive } from '../../batch/retention/compact.ts';
import { prune } from '../../batch/retention/prune.ts';
import { release, rollback } from '../../batch/rollback.ts';
import type { LittleWorld } from './little-world.ts';
import { checkReader } from './reader-checks.ts';

/** What happened, over all runs: a test that never saw a race proves nothing of races. */
export const seen = {
  races: 0,
  streamedBeside: 0,
  streamedBesideRollback: 0,
  openPlays: 0,
  holes: 0,
  dirtyKeys: 0,
  changedLater: 0,
  corrections: 0,
  rollbacks: 0,
  refused: 0,
  failedAudits: 0,
  removedVersions: 0,
  settledDays: 0,
  removedSpeedPlays: 0,
  mergedFiles: 0,
  approved: 0,
  approvedTooLate: 0,
  rejected: 0,
  parallelDays: 0,
  parallelLost: 0,
};

/** Checks what a reader sees. */
export async function look(little: LittleWorld): Promise<void> {
  const { openPlays, hole } = await checkReader(little);
  seen.openPlays += openPlays;
  if (hole) seen.holes++;
}

/** The model is the log itself: what a reader may see follows from it. */
type Model = Record<string, never>;

abstract class Step implements fc.AsyncCommand<Model, LittleWorld> {
  check(): boolean {
    return true;
  }

  async run(_: Model, little: LittleWorld): Promise<void> {
    await this.act(little);
    await look(little);
  }

  abstract act(little: LittleWorld): Promise<void>;
}

class Stream extends Step {
  constructor(
    readonly partition: number,
    readonly records: number,
  ) {
    super();
  }

  override act(little: LittleWorld): Promise<void> {
    return little.stream(pick(little.partitions, this.partition), this.records);
  }

  override toString = () => `stream ${this.records} of partition #${this.partition}`;
}

class Archive extends Step {
  constructor(
    readonly place: number,
    readonly records: number,
  ) {
    super();
  }

  override act(little: LittleWorld): Promise<void> {
    const { topic, partition } = pick(little.places, this.place);
    return little.archive(topic, partition, this.records);
  }

  override toString = () => `archive ${this.records} of place #${this.place}`;
}

class FallQuiet extends Step {
  constructor(readonly place: number) {
    super();
  }

  override act(little: LittleWorld): Promise<void> {
    const { topic, partition } = pick(little.places, this.place);
    return little.fallQuiet(topic, partition);
  }

  override toString = () => `place #${this.place} falls quiet`;
}

class Reconcile extends Step {
  constructor(readonly day: number) {
    super();
  }

  override async act(little: LittleWorld): Promise<void> {
    const days = little.days;
    const day = pick(days, this.day);
    if (await little.isHeld()) await release(little.deps, 'test');
    const { dirtyKeys, daysChanged } = await little.reconcile(day);
    seen.dirtyKeys += dirtyKeys;
    if (daysChanged > 1) seen.changedLater++;
    seen.corrections += (await recordCorrections(little.deps)).corrections ?? 0;
  }

  override toString = () => `reconcile day #${this.day}`;
}

/** The speed layer goes on while a version is written and settled, and readers read. */
class ReconcileBeside extends Step {
  constructor(
    readonly day: number,
    readonly partition: number,
    readonly records: number,
  ) {
    super();
  }

  override async act(little: LittleWorld): Promise<void> {
    if (await little.isHeld()) return;
    const beside: BatchCommitStep[] = ['begun', 'written', 'settled'];
    await little.reconcileBeside([pick(little.days, this.day)], {
      onStep: async (step) => {
        if (!beside.includes(step)) return;
        const before = little.streamed.length;
        await little.stream(pick(little.partitions, this.partition), this.records);
        if (step !== 'begun' && little.streamed.length > before) seen.streamedBeside++;
        await checkReader(little);
      },
    });
    seen.corrections += (await recordCorrections(little.deps)).corrections ?? 0;
  }

  override toString = () =>
    `reconcile day #${this.day} while ${this.records} of partition #${this.partition} are streamed`;
}

class Race extends Step {
  constructor(
    readonly day: number,
    readonly other: number,
  ) {
    super();
  }

  override async act(little: LittleWorld): Promise<void> {
    const { deps } = little;
    if (await little.isHeld()) return;
    const attempts: number[] = [];
    for (const [i, day] of [this.day, this.other].entries()) {
      const request = { days: [pick(little.days, day)], cause: 'race', actor: 'test', owner: `racer ${i}` };
      const { attempt, units } = await beginAttempt(deps, request);
      for (let unit = 0; unit < units; unit++) await computeUnit(deps, attempt, unit);
      attempts.push(attempt);
    }
    const ends = await Promise.allSettled(attempts.map((attempt) => commitAttempt(deps, attempt)));
    const lost = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    expect(lost).toEqual([expect.any(CommitLostError)]);
    seen.races++;
  }

  override toString = () => `days #${this.day} and #${this.other} race`;
}

/** What contradicts the raw files is not committed, and changes nothing for readers. */
/** What can become of a staged play between its audit and the commit. */
const ONE_STAGED =
  'ctid = (select ctid from whence.batch_staged_plays where attempt = $1 order by play_id, unit limit 1)';
const BREAKAGES = {
  'a play is lost': `delete from whence.batch_staged_plays where ${ONE_STAGED}`,
  'a play is there twice': `insert into whence.batch_staged_plays select * from whence.batch_staged_plays where ${ONE_STAGED}`,
  'a play is another': `update whence.batch_staged_plays set watched_ms = watched_ms + 1 where ${ONE_STAGED}`,
};

class FailAudit extends Step {
  constructor(
    readonly day: number,
    readonly breakage: keyof typeof BREAKAGES,
  ) {
    super();
  }

  override async act(little: LittleWorld): Promise<void> {
    if (await little.isHeld()) return;
    const request = { days: [pick(little.days, this.day)], cause: 'fails', actor: 'test', owner: 'failing' };
    const { attempt, units } = await beginAttempt(little.deps, request);
    for (let unit = 0; unit < units; unit++) await computeUnit(little.deps, attempt, unit);
    const { rowCount } = await little.deps.pool.query(BREAKAGES[this.breakage], [attempt]);
    if (rowCount === 0) return abandonAttempt(little.deps, attempt);
    await expect(commitAttempt(little.deps, attempt)).rejects.toThrow(AuditFailedError);
    seen.failedAudits++;
  }

  override toString = () => `the audit of day #${this.day} fails: ${this.breakage}`;
}

class Rollback extends Step {
  constructor(
    readonly to: number,
    readonly partition: number,
    readonly records: number,
  ) {
    super();
  }

  override async act(little: LittleWorld): Promise<void> {
    const { rows } = await little.deps.pool.query<{ version: number }>(
      'select version from whence.versions where kept order by version',
    );
    if (rows.length === 0) return;
    const { version } = pick(rows, this.to);
    await rollback(little.deps, version, 'test', {
      onStep: async (step) => {
        if (step === 'rolled back') return;
        const before = little.streamed.length;
        await little.stream(pick(little.partitions, this.partition), this.records);
        if (step !== 'begun' && little.streamed.length > before) seen.streamedBesideRollback++;
        await checkReader(little);
      },
    });
    await expect(little.reconcile(little.days[0])).rejects.toThrow(VersionHeldError);
    seen.rollbacks++;
    seen.refused++;
    seen.corrections += (await recordCorrections(little.deps)).corrections ?? 0;
  }

  override toString = () => `roll back to version #${this.to} beside ${this.records} of partition #${this.partition}`;
}

class Release extends Step {
  override async act(little: LittleWorld): Promise<void> {
    if (await little.isHeld()) await release(little.deps, 'test');
  }

  override toString = () => 'release';
}

/** What only removed versions had goes, and speed plays that every kept one covers for good. */
class Prune extends Step {
  override act(little: LittleWorld): Promise<void> {
    return pruneAll(little);
  }

  override toString = () => 'prune';
}

export async function pruneAll({ deps }: LittleWorld): Promise<void> {
  const forGood = { attempts: Infinity, datasets: Infinity, grace: Infinity };
  const { versions, speedPlays } = await prune(deps, {
    // The days of the log are long over; that a partition has been quiet for some hours does not mean that it stays so.
    retention: { ...forGood, versions: 0, speedPlays: 24 * 3_600_000 },
    isRunning: () => Promise.resolve(false),
  });
  seen.removedVersions += versions.versions;
  seen.settledDays += speedPlays.days.length;
  seen.removedSpeedPlays += speedPlays.count;
}

/** Small files that follow one another become one; whoever reads them later reads the same. */
class Compact extends Step {
  constructor(readonly place: number) {
    super();
  }

  override async act(little: LittleWorld): Promise<void> {
    const { topic, partition } = pick(little.places, this.place);
    for (let file = 0; file < 3; file++) await little.archive(topic, partition, 1);
    seen.mergedFiles += (await compactArchive(little.deps, { leastFiles: 2 })).merged;
  }

  override toString = () => `archive 3 of place #${this.place} one by one, and compact`;
}

/** Computed, shown, and then approved or rejected; what was committed in between makes an approval void. */
class Preview extends Step {
  constructor(
    readonly day: number,
    readonly length: number,
    readonly between: 'nothing' | 'a commit',
    readonly approve: boolean,
  ) {
    super();
  }

  override async act(little: LittleWorld): Promise<void> {
    if (await little.isHeld()) return;
    const { deps } = little;
    const from = pick(little.days, this.day);
    const to = pick(little.days.slice(little.days.indexOf(from)), this.length);
    const request = { from, to, preview: true, parallel: 1, only: 'all', order: 'oldest' } as const;
    const by = { workflowId: 'preview', runId: `run ${++runs}`, actor: 'test' };
    const { backfill, days } = await planBackfill(deps, request, by);
    const attempt = await computeDays(little, days, 'preview');
    const { plays } = await previewAttempt(deps, backfill, attempt);
    await checkReader(little);
    const isOutdated = this.between === 'a commit';
    if (isOutdated) await little.reconcile(from);
    if (!this.approve) seen.rejected++;
    else if (isOutdated) {
      await expect(checkPreview(little.deps.pool, attempt)).rejects.toThrow(CommitLostError);
      seen.approvedTooLate++;
    } else {
      await checkPreview(little.deps.pool, attempt);
      let changed = 0;
      for (const day of days) changed += (await commitAttempt(deps, attempt, { day })).playsChanged;
      expect(changed).toBe(plays);
      seen.approved++;
    }
    await abandonAttempt(deps, attempt);
  }

  override toString = () =>
    `preview of days from #${this.day} on, ${this.between} in between, ${this.approve ? 'approved' : 'rejected'}`;
}

/** Of workflows, over all sequences. */
let runs = 0;

/** An attempt whose days are committed one by one, all computed. */
async function computeDays({ deps }: LittleWorld, days: readonly string[], owner: string): Promise<number> {
  const request = { days, cause: 'backfill', actor: 'test', owner, byDay: true };
  const { attempt, units } = await beginAttempt(deps, request);
  for (let unit = 0; unit < units; unit++) await computeUnit(deps, attempt, unit);
  return attempt;
}

/** Two backfills at once: what one commits voids what the other has computed and not committed, which begins again. */
class ParallelBackfills extends Step {
  constructor(readonly day: number) {
    super();
  }

  override async act(little: LittleWorld): Promise<void> {
    if (await little.isHeld()) return;
    const from = this.day % little.days.length;
    await Promise.all([
      this.#backfill(little, little.days.slice(from), 'forward'),
      this.#backfill(little, little.days.slice(0, from + 1).reverse(), 'backward'),
    ]);
  }

  async #backfill(little: LittleWorld, days: readonly string[], owner: string): Promise<void> {
    for (let left = days; left.length > 0;) {
      const attempt = await computeDays(little, left, owner);
      try {
        for (const day of left) {
          await commitAttempt(little.deps, attempt, { day });
          left = left.slice(1);
          seen.parallelDays++;
        }
      } catch (error) {
        if (!(error instanceof CommitLostError)) throw error;
        seen.parallelLost++;
      } finally {
        await abandonAttempt(little.deps, attempt);
      }
    }
  }

  override toString = () => `two backfills from day #${this.day}`;
}

const small = fc.nat(7);
export const commands = fc.commands(
  [
    fc
      .record({ partition: small, records: fc.integer({ min: 1, max: 6 }) })
      .map((s) => new Stream(s.partition, s.records)),
    fc.record({ place: small, records: fc.integer({ min: 1, max: 6 }) }).map((a) => new Archive(a.place, a.records)),
    fc.record({ place: small, records: fc.integer({ min: 1, max: 6 }) }).map((a) => new Archive(a.place, a.records)),
    small.map((place) => new FallQuiet(place)),
    small.map((day) => new Reconcile(day)),
    small.map((day) => new Reconcile(day)),
    fc
      .record({ day: small, partition: small, records: fc.integer({ min: 1, max: 3 }) })
      .map((r) => new ReconcileBeside(r.day, r.partition, r.records)),
    fc.record({ day: small, other: small }).map((race) => new Race(race.day, race.other)),
    fc
      .record({ to: small, partition: small, records: fc.nat(3) })
      .map((r) => new Rollback(r.to, r.partition, r.records)),
    fc.constant(new Release()),
    fc.constant(new Prune()),
    small.map((place) => new Compact(place)),
    fc
      .record({
        day: small,
        length: fc.nat(2),
        between: fc.constantFrom('nothing' as const, 'a commit' as const),
        approve: fc.boolean(),
      })
      .map((p) => new Preview(p.day, p.length, p.between, p.approve)),
    small.map((day) => new ParallelBackfills(day)),
    fc
      .tuple(small, fc.constantFrom(...(Object.keys(BREAKAGES) as (keyof typeof BREAKAGES)[])))
      .map(([day, breakage]) => new FailAudit(day, breakage)),
  ],
  { maxCommands: 16, size: 'max' },
);

function pick<Item>(items: readonly Item[], index: number): Item {
  return items[index % items.length];
}
