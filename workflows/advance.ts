import { CancellationScope, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { AdvanceOutcome } from '../activities/activities.ts';
import { longActivities, quick } from './activities.ts';
import { mayBeginAgain } from './failures.ts';
import { inWindow } from './in-window.ts';

/** How far an advance of the batch view is: what the query `progress` answers. */
export interface AdvanceProgress {
  stage: 'beginning' | 'computing' | 'committing' | 'comparing' | 'done';
  days: string[];
  /** Units of work of the attempt, and how many of them are done. */
  units: number;
  unitsDone: number;
  /** Plays computed so far, those of dirty keys included. */
  plays: number;
  dirtyKeys: number;
  /** Archived records of the days asked for. */
  records: number;
  /** How often another commit came first, and all began again. */
  rebased: number;
  version: number | null;
}

export interface AdvanceAsked {
  days: string[];
  /** For the row of the version. */
  cause: string;
}

/** Units at work at once; how many really run, the workers' slots decide. */
const UNITS_AT_ONCE = 8;
/** Someone who commits all the time must not keep us computing for ever. */
const MOST_REBASES = 20;

/** A version to be: what it computes is known by `progress` while it goes on. */
export class Advance {
  readonly progress: AdvanceProgress;
  readonly #asked: AdvanceAsked;
  readonly #long = longActivities();

  constructor(asked: AdvanceAsked) {
    this.#asked = asked;
    this.progress = {
      stage: 'beginning',
      days: asked.days,
      units: 0,
      unitsDone: 0,
      plays: 0,
      dirtyKeys: 0,
      records: 0,
      rebased: 0,
      version: null,
    };
  }

  /**
   * Computes the days and what is dirty, and commits them as the next version; begins again where another commit came first.
   * Then what batch says is held against what speed said. Cancelled, it leaves nothing behind but what is committed.
   */
  async run(): Promise<AdvanceOutcome> {
    for (;;) {
      try {
        const committed = await this.#attempt();
        this.#now({ stage: 'comparing', version: committed.version });
        const compared = await this.#long.recordCorrections();
        this.#now({ stage: 'done' });
        return { days: this.#asked.days, records: this.progress.records, ...committed, ...compared };
      } catch (error) {
        if (!mayBeginAgain(error) || this.progress.rebased >= MOST_REBASES) throw error;
        this.#now({ stage: 'beginning', unitsDone: 0, plays: 0, rebased: this.progress.rebased + 1 });
      }
    }
  }

  async #attempt() {
    const { workflowId } = workflowInfo();
    const { attempt, units, dirtyKeys, records } = await this.#long.beginAttempt({ ...this.#asked, owner: workflowId });
    try {
      this.#now({ stage: 'computing', units, dirtyKeys, records });
      await inWindow(
        UNITS_AT_ONCE,
        Array.from({ length: units }, (_, unit) => unit),
        async (unit) => {
          const { plays } = await this.#long.computeUnit({ attempt, unit });
          this.#now({ unitsDone: this.progress.unitsDone + 1, plays: this.progress.plays + plays });
        },
      );
      this.#now({ stage: 'committing' });
      return await this.#long.commitAttempt({ attempt });
    } catch (error) {
      // Also when this workflow is cancelled: what was staged is of no use to anybody.
      await CancellationScope.nonCancellable(() => quick.abandonAttempt({ attempt }));
      throw error;
    }
  }

  #now(change: Partial<AdvanceProgress>): void {
    Object.assign(this.progress, change);
    setCurrentDetails(detailsOf(this.progress));
  }
}

/** For people, in the UI. */
function detailsOf({
  stage,
  days,
  units,
  unitsDone,
  plays,
  dirtyKeys,
  records,
  rebased,
  version,
}: AdvanceProgress): string {
  return [
    `**${stage}** ${days.join(', ')}`,
    `- units: ${unitsDone} of ${units} computed`,
    `- records of the days: ${records}; keys changed since the last version: ${dirtyKeys}`,
    `- plays so far: ${plays}`,
    ...(rebased > 0 ? [`- began again ${rebased} times, since another commit came first`] : []),
    ...(version === null ? [] : [`- committed as version ${version}`]),
  ].join('\n');
}
