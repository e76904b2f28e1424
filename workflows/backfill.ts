import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  currentUpdateInfo,
  defineQuery,
  defineSignal,
  defineUpdate,
  isCancellation,
  makeContinueAsNewFunc,
  setCurrentDetails,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { z } from 'zod';
import type { BackfillEstimate, BackfillRequest, PreviewSummary } from '../activities/backfill-activities.ts';
import { longActivities } from './activities.ts';
import { type BackfillProgress, detailsOf, type FailedDay } from './backfill-progress.ts';
import { failureType, mayBeginAgain, reasonOf } from './failures.ts';
import { beFound, foundByAsWell } from './found-as-well.ts';
import { inWindow } from './in-window.ts';
import { dayInput, readInput } from './input.ts';
import { Stretch } from './stretch.ts';

export interface BackfillInput {
  /** The first and the last day: UTC, YYYY-MM-DD. */
  from: string;
  to: string;
  /** Compute, say what would change, and commit only when it is approved. */
  preview?: boolean;
  /** Days that are computed at once, 1 to 16; 2 by default. */
  parallel?: number;
  only?: BackfillRequest['only'];
  order?: BackfillRequest['order'];
  /** What one run leaves for the next; nobody types it. */
  carried?: Carried;
}

interface Carried {
  backfill: number;
  days: string[];
  done: number;
  failed: FailedDay[];
  playsChanged: number;
  version: number | null;
  estimate: BackfillEstimate;
  workedMs: number;
  begunAgain: number;
  paused: boolean;
}

export interface BackfillOutcome {
  backfill: number;
  status: 'completed' | 'completed_with_failures' | 'rejected';
  from: string;
  to: string;
  days: number;
  failed: FailedDay[];
  playsChanged: number;
  version: number | null;
  /** Null where nothing was previewed. */
  preview: PreviewSummary | null;
  approvedBy: string | null;
  estimate: BackfillEstimate;
  /** For which it worked, pauses and the wait for approval left out. */
  seconds: number;
  /** By how much the estimate was wrong: 0.5 where it took half as long again; null where there was none. */
  estimateError: number | null;
}

export interface Decision {
  /** Who decides; else whoever Temporal says sent the update. */
  actor?: string;
  /** The version that the preview was compared with, as whoever decides has seen it. */
  version?: number;
}

export const backfillProgress = defineQuery<BackfillProgress>('progress');
export const pauseSignal = defineSignal('pause');
export const resumeSignal = defineSignal('resume');
export const approveUpdate = defineUpdate<string, [Decision?]>('approve');
export const rejectUpdate = defineUpdate<string, [Decision?]>('reject');

const yes = { error: 'expected true or false' };
const days = { error: 'expected a whole number of days at once, 1 to 16' };
const SHAPE = {
  from: dayInput,
  to: dayInput,
  preview: z.boolean(yes).optional(),
  parallel: z.int(days).min(1, days).max(16, days).optional(),
  only: z
    .enum(['missing', 'dirty', 'failed', 'all'], { error: 'expected "missing", "dirty", "failed" or "all"' })
    .optional(),
  order: z.enum(['oldest', 'newest'], { error: 'expected "oldest" or "newest"' }).optional(),
  carried: z.custom<Carried>((value) => typeof value === 'object' && value !== null).optional(),
};
const EXAMPLE = { from: '2026-11-01', to: '2026-11-10', preview: true, parallel: 2 };

/** Days of one attempt. */
const DAYS_AT_MOST = 20;
/** A history stays short: where days are left after so many events, the next run takes over. */
const MOST_EVENTS = 300;
/** So many days, times `parallel`, are computed ahead of the one to be committed next. */
const AHEAD = 2;
const MOST_BEGINNINGS = 50;
/** So often we look whether a reconciliation that we let pass has ended. */
const YIELD_MS = 2_000;

/**
 * Covers a range of days, or computes them again: several at once, committed day by day, in order. With `preview` nothing is
 * committed before someone has seen what would change, and approved.
 *
 * Started with one JSON object, in the UI too: {"from":"2026-11-01","to":"2026-11-10","preview":true}.
 */
export async function backfill(input: BackfillInput): Promise<BackfillOutcome> {
  return new Backfill(input).run();
}

interface Asked {
  kind: 'approved_by' | 'rejected_by';
  decision: Decision;
  updateId: string;
  /** What came of it: who decided, or why it does not count. */
  answer?: { by: string } | { refused: string };
}

class Backfill {
  readonly #input: BackfillInput;
  /** Behind fresh days, which have the default, wherever the task queue has a backlog. */
  readonly #do = longActivities({ priority: { priorityKey: 5 } });
  readonly #progress: BackfillProgress;
  #paused = false;
  #asked: Asked | null = null;
  #workedMs = 0;
  #backfill = 0;
  #days: string[] = [];

  constructor(input: BackfillInput) {
    this.#input = input;
    const carried = (input as BackfillInput | undefined)?.carried;
    this.#progress = {
      phase: 'planning',
      from: input?.from,
      to: input?.to,
      days: { done: carried?.done ?? 0, failed: carried?.failed ?? [], left: carried?.days.length ?? 0 },
      units: 0,
      unitsDone: 0,
      playsChanged: carried?.playsChanged ?? 0,
      begunAgain: carried?.begunAgain ?? 0,
      version: carried?.version ?? null,
      estimate: carried?.estimate ?? null,
      eta: null,
      preview: null,
      approvedBy: null,
    };
    this.#paused = carried?.paused ?? false;
    this.#workedMs = carried?.workedMs ?? 0;
    setHandler(backfillProgress, () => this.#progress);
    setHandler(pauseSignal, () => this.#pause(true));
    setHandler(resumeSignal, () => this.#pause(false));
    const validator = (decision?: Decision) => this.#check(decision);
    setHandler(approveUpdate, (decision) => this.#decide('approved_by', decision), { validator });
    setHandler(rejectUpdate, (decision) => this.#decide('rejected_by', decision), { validator });
  }

  async run(): Promise<BackfillOutcome> {
    const { carried, ...asked } = readInput('backfill', SHAPE, EXAMPLE, this.#input);
    const request: BackfillRequest = { preview: false, parallel: 2, only: 'all', order: 'oldest', ...asked };
    await beFound('backfill', request);
    const plan = carried ?? (await this.#do.planBackfill(request));
    this.#backfill = plan.backfill;
    this.#days = plan.days;
    this.#now({ estimate: plan.estimate });
    try {
      const rejected = await this.#all(request);
      this.#now({ phase: 'comparing' });
      await this.#do.recordCorrections();
      const failed = this.#progress.days.failed;
      const status = rejected ? 'rejected' : failed.length > 0 ? 'completed_with_failures' : 'completed';
      await this.#do.noteBackfillEnd({ backfill: this.#backfill, status });
      this.#now({ phase: 'done', eta: null });
      await condition(allHandlersFinished);
      return this.#outcome(status, request, plan.estimate);
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ContinueAsNew') {
        const status = isCancellation(error) ? 'cancelled' : 'failed';
        await CancellationScope.nonCancellable(() => this.#do.noteBackfillEnd({ backfill: this.#backfill, status }));
      }
      throw error;
    }
  }

  /** @returns whether the preview was rejected */
  async #all(request: BackfillRequest): Promise<boolean> {
    while (this.#days.length > 0) {
      const rejected = await this.#some(request, request.preview ? this.#days : this.#days.slice(0, DAYS_AT_MOST));
      if (rejected) return true;
      const { historyLength, continueAsNewSuggested } = workflowInfo();
      if (this.#days.length > 0 && (continueAsNewSuggested || (historyLength > MOST_EVENTS && !request.preview))) {
        const goOn = makeContinueAsNewFunc<typeof backfill>(foundByAsWell('backfill', request));
        await goOn({ ...request, carried: this.#carried() });
      }
    }
    return false;
  }

  /** Computes some days in one attempt and commits them one by one; what another commit came before stays left. */
  async #some(request: BackfillRequest, chosen: string[]): Promise<boolean> {
    const { workflowId } = workflowInfo();
    const { from, to } = request;
    const cause = `backfill ${from} to ${to}`;
    this.#now({ phase: 'beginning' });
    await this.#letFreshDaysPass();
    const { attempt, work } = await this.#do.beginDays({ days: chosen, cause, owner: workflowId });
    const begun = Date.now();
    try {
      const stretch = new Stretch(chosen, work, request.preview ? Infinity : request.parallel * AHEAD);
      this.#now({ phase: this.#paused ? 'paused' : 'computing', units: stretch.units, unitsDone: 0 });
      await inWindow(request.parallel, work.dirty, (unit) => this.#compute(stretch, attempt, null, unit));
      const computing = () =>
        inWindow(request.parallel, stretch.queue, async ({ day, unit }) => {
          await condition(() => !this.#paused && stretch.mayCompute(day));
          await this.#compute(stretch, attempt, day, unit);
        });
      if (request.preview) {
        await computing();
        this.#workedMs += Date.now() - begun;
        const verdict = await this.#approval(attempt);
        if (verdict !== 'approved') return verdict === 'rejected';
      }
      const text = this.#progress.approvedBy === null ? '' : `, approved by ${this.#progress.approvedBy}`;
      const committing = () =>
        this.#commitAll(stretch, attempt, (day) => `backfill ${day}, of ${from} to ${to}${text}`);
      const committed = Date.now();
      await together(request.preview ? [committing] : [computing, committing]);
      this.#workedMs += Date.now() - (request.preview ? committed : begun);
      return false;
    } catch (error) {
      if (!mayBeginAgain(error)) throw error;
      this.#beginAgain(error);
      return false;
    } finally {
      await CancellationScope.nonCancellable(() => this.#do.abandonAttempt({ attempt }));
    }
  }

  async #compute(stretch: Stretch, attempt: number, day: string | null, unit: number): Promise<void> {
    if (stretch.lost || (day !== null && stretch.failed.has(day))) return;
    try {
      await this.#do.computeUnit({ attempt, unit });
      this.#now({ unitsDone: this.#progress.unitsDone + 1 });
      if (day !== null) stretch.computed(day);
    } catch (error) {
      if (isCancellation(error) || mayBeginAgain(error) || day === null) throw error;
      stretch.failed.set(day, reasonOf(error));
    }
  }

  async #commitAll(stretch: Stretch, attempt: number, causeOf: (day: string) => string): Promise<void> {
    for (const day of stretch.days) {
      await condition(() => stretch.isSettled(day) && !this.#paused);
      let reason = stretch.failed.get(day);
      if (reason === undefined) {
        await this.#letFreshDaysPass();
        try {
          const asked = { backfill: this.#backfill, attempt, day, cause: causeOf(day) };
          const { version, playsChanged } = await this.#do.commitDay(asked);
          this.#now({ version, playsChanged: this.#progress.playsChanged + playsChanged });
        } catch (error) {
          if (mayBeginAgain(error)) stretch.lost = true;
          if (failureType(error) !== 'AuditFailedError') throw error;
          reason = reasonOf(error);
        }
      }
      this.#days = this.#days.filter((each) => each !== day);
      stretch.passed++;
      const { done, failed } = this.#progress.days;
      if (reason !== undefined) await this.#do.noteFailedDay({ backfill: this.#backfill, day, reason });
      this.#now({
        days: {
          done: reason === undefined ? done + 1 : done,
          failed: reason === undefined ? failed : [...failed, { day, reason }],
          left: this.#days.length,
        },
      });
    }
  }

  /** A commit of ours would void what a reconciliation has computed, time and again: it goes first. */
  async #letFreshDaysPass(): Promise<void> {
    while (await this.#do.isFreshDayAtWork()) await sleep(YIELD_MS);
  }

  /** Says what would change, and waits until someone has decided; what was approved is what would be committed. */
  async #approval(attempt: number): Promise<'approved' | 'rejected' | 'outdated'> {
    this.#now({ phase: 'previewing' });
    const preview = await this.#do.previewDays({ backfill: this.#backfill, attempt });
    this.#now({ phase: 'awaiting approval', preview });
    await condition(() => this.#asked !== null);
    const asked = this.#asked as unknown as Asked;
    this.#asked = null;
    // Nobody else can decide now.
    this.#now({ phase: 'deciding' });
    if (asked.kind === 'approved_by') {
      try {
        await this.#do.checkPreview({ attempt });
      } catch (error) {
        if (!mayBeginAgain(error)) throw error;
        asked.answer = {
          refused: `The preview is of version ${preview.version}, and another was committed since. It is computed again: look at it, then decide`,
        };
        this.#beginAgain(error);
        return 'outdated';
      }
    }
    const by = await this.#do.noteDecision({
      backfill: this.#backfill,
      decision: asked.kind,
      updateId: asked.updateId,
      actor: asked.decision.actor ?? null,
    });
    asked.answer = { by };
    if (asked.kind === 'rejected_by') return 'rejected';
    this.#now({ phase: 'computing', approvedBy: by });
    return 'approved';
  }

  #check(decision: Decision = {}): void {
    const { phase, preview } = this.#progress;
    if (phase !== 'awaiting approval' || preview === null || this.#asked !== null) {
      throw refusal(`There is nothing to decide: the backfill is ${phase}`);
    }
    const { actor, version } = decision;
    if (actor !== undefined && (typeof actor !== 'string' || actor.trim() === '')) {
      throw refusal('actor: expected who decides, such as {"actor":"ann"}');
    }
    if (version !== undefined && version !== preview.version) {
      throw refusal(`The preview is compared with version ${preview.version}, not ${version}; look at it again`);
    }
  }

  /** @returns who decided */
  async #decide(kind: Asked['kind'], decision: Decision = {}): Promise<string> {
    const asked: Asked = { kind, decision, updateId: currentUpdateInfo()?.id ?? '' };
    this.#asked = asked;
    await condition(() => asked.answer !== undefined);
    const answer = asked.answer as unknown as NonNullable<Asked['answer']>;
    if ('refused' in answer) throw refusal(answer.refused);
    return answer.by;
  }

  #pause(paused: boolean): void {
    this.#paused = paused;
    const { phase } = this.#progress;
    if (paused && phase === 'computing') this.#now({ phase: 'paused' });
    if (!paused && phase === 'paused') this.#now({ phase: 'computing' });
  }

  #beginAgain(error: unknown): void {
    const begunAgain = this.#progress.begunAgain + 1;
    if (begunAgain > MOST_BEGINNINGS) throw error;
    this.#now({ begunAgain, approvedBy: null });
  }

  #carried(): Carried {
    const { days, playsChanged, version, estimate, begunAgain } = this.#progress;
    return {
      backfill: this.#backfill,
      days: this.#days,
      done: days.done,
      failed: days.failed,
      playsChanged,
      version,
      estimate: estimate ?? { records: 0, seconds: null, plays: null },
      workedMs: this.#workedMs,
      begunAgain,
      paused: this.#paused,
    };
  }

  #outcome(status: BackfillOutcome['status'], { from, to }: BackfillRequest, estimate: BackfillEstimate) {
    const { days, playsChanged, version, preview, approvedBy } = this.#progress;
    const seconds = this.#workedMs / 1000;
    const estimateError = estimate.seconds === null || estimate.seconds === 0 ? null : seconds / estimate.seconds - 1;
    const counts = { days: days.done, failed: days.failed, playsChanged, version, preview, approvedBy };
    return { backfill: this.#backfill, status, from, to, ...counts, estimate, seconds, estimateError };
  }

  #now(change: Partial<BackfillProgress>): void {
    Object.assign(this.#progress, change);
    const { days, estimate, phase } = this.#progress;
    this.#progress.days = { ...days, left: this.#days.length };
    const total = days.done + this.#days.length;
    const leftMs =
      estimate?.seconds == null ? null : (estimate.seconds * 1000 * this.#days.length) / Math.max(1, total);
    if (leftMs !== null && phase === 'computing') {
      this.#progress.eta = new Date(Date.now() + leftMs).toISOString();
    }
    setCurrentDetails(detailsOf(this.#progress));
  }
}

/** Runs both to their end; where one fails, the other is cancelled. */
async function together(works: readonly (() => Promise<void>)[]): Promise<void> {
  await inWindow(works.length, works, (work) => work());
}

function refusal(message: string): ApplicationFailure {
  return ApplicationFailure.create({ type: 'NotDecided', nonRetryable: true, message });
}
