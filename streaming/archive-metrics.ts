import { Counter, Histogram, type Registry } from 'prom-client';
import { addGauge, showWaiting } from '../platform/metrics.ts';
import type { Outage } from '../platform/outage.ts';
import type { ArchiveView } from './archive-health.ts';

/** What a file of the archive was, for whoever counts. */
export interface FileCommit {
  rows: number;
  bytes: number;
  /** From the writing to the end of its commit, milliseconds. */
  tookMs: number;
}

/** The metrics of the archiver in one process: added up once a file, or looked at when it is asked for. */
export class ArchiveMetrics {
  readonly #files;
  readonly #records;
  readonly #bytes;
  readonly #takeovers;
  readonly #fenced;
  #views: () => readonly ArchiveView[] = () => [];
  #outage: Outage | null = null;

  constructor(registry: Registry) {
    const registers = [registry];
    showWaiting(registry, () => this.#outage?.waiting ?? []);
    this.#files = new Histogram({
      name: 'whence_archive_file_seconds',
      help: 'How long writing, publishing and committing a file took',
      buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    });
    const counter = (name: string, help: string) => new Counter({ name, help, registers });
    this.#records = counter('whence_archive_records_total', 'Records archived');
    this.#bytes = counter('whence_archive_written_bytes_total', 'Size of the files committed');
    this.#takeovers = counter('whence_archive_takeovers_total', 'Topic-partitions taken, the first time included');
    this.#fenced = counter('whence_archive_fenced_total', 'Topic-partitions that another process had taken');
    const gauge = (name: string, help: string, of: (view: ArchiveView) => number) =>
      addGauge(registry, { name, help, labelNames: ['topic', 'partition'] }, (show) => {
        for (const view of this.#views()) show({ topic: view.topic, partition: view.partition }, of(view));
      });
    gauge('whence_archive_lag_records', 'Records in the log, as last looked at, that are in no file', (view) =>
      Math.max(0, Math.max(view.end, view.position) - view.committed),
    );
    gauge(
      'whence_archive_waiting_seconds',
      'For how long the oldest record read has waited for its file',
      ({ pendingMs }) => pendingMs / 1000,
    );
  }

  /** Looks at these, and at who waits for a server, whenever it is asked. */
  watch(views: () => readonly ArchiveView[], outage: Outage): void {
    this.#views = views;
    this.#outage = outage;
  }

  committed({ rows, bytes, tookMs }: FileCommit): void {
    this.#files.observe(tookMs / 1000);
    this.#records.inc(rows);
    this.#bytes.inc(bytes);
  }

  tookTask(): void {
    this.#takeovers.inc();
  }

  fenced(): void {
    this.#fenced.inc();
  }
}
