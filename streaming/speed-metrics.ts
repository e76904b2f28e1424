import { crc32 } from 'node:zlib';
import { Counter, Histogram, type Registry } from 'prom-client';
import { addGauge, showWaiting } from '../platform/metrics.ts';
import type { Outage } from '../platform/outage.ts';
import type { Queryable } from '../platform/postgres.ts';
import { lagOf, type TaskView } from './task-health.ts';
import type { TaskCommit } from './task.ts';

/** Row types that no policy lists are told apart up to so many; a client that makes them up must not fill the registry. */
const MOST_ROW_TYPES = 50;
/** One profile in so many is watched for whether it comes from two partitions; so many are remembered. */
const PROFILES_IN_SAMPLE = 64;
const MOST_PROFILES = 20_000;

const OUTCOMES = ['applied', 'duplicate', 'late', 'excluded', 'dead_lettered'] as const;
const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];

/**
 * The metrics of the speed layer in one process. Everything is added up once a commit, or looked at when it is asked for:
 * reading a record counts nothing.
 */
export class SpeedMetrics {
  readonly #freshness;
  readonly #commitSeconds;
  readonly #commitRecords;
  readonly #records;
  readonly #conflicts;
  readonly #deadLetters;
  readonly #plays;
  readonly #unknown;
  readonly #scattered;
  readonly #capped;
  readonly #evicted;
  readonly #takeovers;
  readonly #fenced;
  readonly #rowTypes = new Set<string>();
  readonly #profiles = new Map<string, number>();
  #views: () => readonly TaskView[] = () => [];
  #outage: Outage | null = null;
  #database: Queryable | null = null;
  #backlog = 0;
  #backlogAt = 0;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#freshness = new Histogram({
      name: 'whence_freshness_seconds',
      help: 'From the Kafka timestamp of a record to the commit that shows it: of a sample, one record in 64 and the first of each batch',
      buckets: SECONDS,
      registers,
    });
    this.#commitSeconds = new Histogram({
      name: 'whence_commit_seconds',
      help: 'How long the commit of a task to Postgres took, its tries included; of those that commit together each counts',
      buckets: SECONDS,
      registers,
    });
    this.#commitRecords = new Histogram({
      name: 'whence_commit_records',
      help: 'How many records a commit held',
      buckets: [1, 10, 100, 1_000, 10_000, 50_000, 100_000],
      registers,
    });
    this.#records = new Counter({
      name: 'whence_records_total',
      help: 'Records committed, by what became of them, as the ledger counts them',
      labelNames: ['topic', 'outcome'],
      registers,
    });
    this.#conflicts = new Counter({
      name: 'whence_conflicts_total',
      help: 'Of the duplicates, those that differ from the event that counts',
      labelNames: ['topic'],
      registers,
    });
    this.#deadLetters = new Counter({
      name: 'whence_dead_letters_total',
      help: 'Records dead-lettered, by reason',
      labelNames: ['reason'],
      registers,
    });
    this.#plays = new Counter({
      name: 'whence_play_rows_total',
      help: 'Rows of plays written, refinements included, by how their source of play is known',
      labelNames: ['sop_evidence'],
      registers,
    });
    this.#unknown = new Counter({
      name: 'whence_unknown_row_types_total',
      help: 'Launches and touches of rows of plays written whose row type the policy does not list; "other" beyond 50 types',
      labelNames: ['row_type'],
      registers,
    });
    this.#scattered = new Counter({
      name: 'whence_profiles_in_two_partitions_total',
      help: 'Profiles with plays from two partition numbers of this process: of a sample of one in 64, so 0 proves nothing',
      registers,
    });
    this.#evicted = new Counter({
      name: 'whence_facts_evicted_total',
      help: 'Facts dropped because no play that may still change needs them',
      registers,
    });
    this.#capped = new Counter({
      name: 'whence_facts_capped_total',
      help: 'Facts left out of keys that have too many: most likely machines',
      registers,
    });
    this.#takeovers = new Counter({
      name: 'whence_task_takeovers_total',
      help: 'Tasks taken, the first time included',
      registers,
    });
    this.#fenced = new Counter({
      name: 'whence_commits_fenced_total',
      help: 'Commits refused because another process had taken the task',
      registers,
    });
    this.#addGauges(registry);
  }

  /** Looks at these tasks, at who waits for a server, and at this database's dead letters, whenever it is asked. */
  watch(views: () => readonly TaskView[], outage: Outage, database: Queryable): void {
    this.#views = views;
    this.#outage = outage;
    this.#database = database;
  }

  committed(task: number, { delta, tookMs, ages, evicted }: TaskCommit): void {
    this.#commitSeconds.observe(tookMs / 1000);
    this.#commitRecords.observe(delta.records);
    for (const age of ages) this.#freshness.observe(Math.max(0, age) / 1000);
    for (const row of delta.ledger) {
      for (const outcome of OUTCOMES) {
        if (row[outcome] > 0) this.#records.inc({ topic: row.topic, outcome }, row[outcome]);
      }
      if (row.conflicts > 0) this.#conflicts.inc({ topic: row.topic }, row.conflicts);
    }
    this.#capped.inc(delta.capped);
    for (const { reason } of delta.deadLetters) this.#deadLetters.inc({ reason });
    for (const [sop_evidence, count] of delta.plays.evidence) this.#plays.inc({ sop_evidence }, count);
    for (const [rowType, count] of delta.plays.unknownRowTypes) this.#countUnknown(rowType, count);
    for (const { profile_id: profile } of delta.touched) this.#lookForScattered(profile, task);
    this.#evicted.inc(evicted);
  }

  tookTask(): void {
    this.#takeovers.inc();
  }

  fenced(): void {
    this.#fenced.inc();
  }

  #countUnknown(rowType: string, count: number): void {
    if (this.#rowTypes.size < MOST_ROW_TYPES) this.#rowTypes.add(rowType);
    this.#unknown.inc({ row_type: this.#rowTypes.has(rowType) ? rowType : 'other' }, count);
  }

  #lookForScattered(profile: string, task: number): void {
    if (crc32(profile) % PROFILES_IN_SAMPLE !== 0) return;
    const known = this.#profiles.get(profile);
    if (known === undefined) {
      // The oldest makes room: a Map keeps its order.
      if (this.#profiles.size >= MOST_PROFILES) this.#profiles.delete(this.#profiles.keys().next().value ?? '');
      this.#profiles.set(profile, task);
    } else if (known >= 0 && known !== task) {
      this.#scattered.inc();
      // Counted, and not again.
      this.#profiles.set(profile, -1);
    }
  }

  #addGauges(registry: Registry): void {
    showWaiting(registry, () => this.#outage?.waiting ?? []);
    const ofTopics = (name: string, help: string, of: (topic: TaskView['topics'][number]) => number) =>
      addGauge(registry, { name, help, labelNames: ['topic', 'partition'] }, (show) => {
        for (const { task, topics } of this.#views()) {
          for (const topic of topics) show({ topic: topic.topic, partition: task }, of(topic));
        }
      });
    const ofTasks = (name: string, help: string, of: (view: TaskView) => number | null) =>
      addGauge(registry, { name, help, labelNames: ['task'] }, (show) => {
        for (const view of this.#views()) {
          const value = of(view);
          if (value !== null) show({ task: view.task }, value);
        }
      });
    ofTopics('whence_lag_records', 'Records of a topic-partition that are in the log and not committed', lagOf);
    ofTopics(
      'whence_lag_seconds',
      'For how long at most the oldest record not committed has waited: since the Kafka timestamp of the one before it',
      (topic) => (lagOf(topic) === 0 || topic.stampedAt === null ? 0 : (Date.now() - topic.stampedAt) / 1000),
    );
    ofTasks(
      'whence_watermark_delay_seconds',
      'By how much the watermark of a task is behind the clock',
      ({ watermark }) => (watermark === null ? null : (Date.now() - watermark) / 1000),
    );
    ofTasks('whence_facts', 'Facts held in memory', ({ facts }) => facts);
    ofTasks('whence_facts_bytes', 'Memory of the facts held and their index', ({ factBytes }) => factBytes);
    ofTasks('whence_records_uncommitted', 'Records read and not committed', ({ pending }) => pending);
    ofTasks(
      'whence_checkpoint_age_seconds',
      'How old the newest checkpoint of a task is, or, where it has written none, how long it has had the task',
      ({ checkpoint }) => (checkpoint === null ? null : (Date.now() - checkpoint.at) / 1000),
    );
    ofTasks('whence_checkpoint_failing', '1 where the last checkpoint could not be written', ({ checkpoint }) =>
      checkpoint === null ? null : Number(checkpoint.failing !== null),
    );
    addGauge(
      registry,
      {
        name: 'whence_dead_letters_unrelayed',
        help: 'Dead letters that are not yet on the dead-letter topic, of all processes; as it was when Postgres last answered',
        aggregator: 'max',
      },
      (show) => {
        // Whoever scrapes must not wait for Postgres: what it says is shown the next time.
        if (this.#database !== null && Date.now() - this.#backlogAt > 2_000) {
          void this.#readBacklog(this.#database).catch(() => {});
        }
        show({}, this.#backlog);
      },
    );
  }

  async #readBacklog(database: Queryable): Promise<void> {
    this.#backlogAt = Date.now();
    const { rows } = await database.query<{ n: number }>(
      'select count(*) as n from whence.dead_letters where relayed_at is null',
    );
    this.#backlog = rows[0].n;
  }
}
