import type { Command } from 'commander';

export interface CommandEntry {
  name: string;
  /** The heading that it stands under in the help. */
  group: string;
  /** One line. */
  summary: string;
  /** Imports what the command needs: none pays for another. */
  load: () => Promise<Command>;
}

const SERVERS = 'Servers:';
const EVENTS = 'Events:';
const BATCH = 'Corrections and datasets:';
const ANSWERS = 'Answers:';

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'demo',
    group: SERVERS,
    summary: 'the whole job in two minutes, with servers and data of its own',
    load: async () => (await import('./demo.ts')).demoCommand(),
  },
  {
    name: 'up',
    group: SERVERS,
    summary: 'start Postgres, Kafka and Temporal on this machine, and print their addresses',
    load: async () => (await import('./up.ts')).upCommand(),
  },
  {
    name: 'down',
    group: SERVERS,
    summary: 'stop what "up" started',
    load: async () => (await import('./down.ts')).downCommand(),
  },
  {
    name: 'status',
    group: SERVERS,
    summary: 'what runs, how far the stream is, and how fresh its answers are',
    load: async () => (await import('./status.ts')).statusCommand(),
  },
  {
    name: 'migrate',
    group: SERVERS,
    summary: 'bring Postgres to the current schema',
    load: async () => (await import('./migrate.ts')).migrateCommand(),
  },
  {
    name: 'simulate',
    group: EVENTS,
    summary: 'write a lifelike stream of events as NDJSON',
    load: async () => (await import('./simulate.ts')).simulateCommand(),
  },
  {
    name: 'send',
    group: EVENTS,
    summary: 'publish NDJSON files to Kafka',
    load: async () => (await import('./send.ts')).sendCommand(),
  },
  {
    name: 'stream',
    group: EVENTS,
    summary: 'attribute plays as events come',
    load: async () => (await import('./stream.ts')).streamCommand(),
  },
  {
    name: 'archive',
    group: EVENTS,
    summary: 'keep every event for good, as Parquet files',
    load: async () => (await import('./archive.ts')).archiveCommand(),
  },
  {
    name: 'worker',
    group: BATCH,
    summary: 'work on what Temporal asks for: reconciliations and datasets',
    load: async () => (await import('./worker.ts')).workerCommand(),
  },
  {
    name: 'reconcile',
    group: BATCH,
    summary: 'correct a day from the archive',
    load: async () => (await import('./reconcile.ts')).reconcileCommand(),
  },
  {
    name: 'backfill',
    group: BATCH,
    summary: 'cover a range of days, or compute them again, with a preview',
    load: async () => (await import('./backfill.ts')).backfillCommand(),
  },
  {
    name: 'rollback',
    group: BATCH,
    summary: 'make an older version of the batch view current, and hold it',
    load: async () => (await import('./rollback.ts')).rollbackCommand(),
  },
  {
    name: 'release',
    group: BATCH,
    summary: 'let go of the version that is held',
    load: async () => (await import('./rollback.ts')).releaseCommand(),
  },
  {
    name: 'prune',
    group: BATCH,
    summary: 'remove what is older than it is kept',
    load: async () => (await import('./prune.ts')).pruneCommand(),
  },
  {
    name: 'dataset',
    group: BATCH,
    summary: 'build, list and verify training datasets',
    load: async () => (await import('./dataset.ts')).datasetCommand(),
  },
  {
    name: 'schedule',
    group: BATCH,
    summary: 'do what is to be done each day, by itself',
    load: async () => (await import('./schedule.ts')).scheduleCommand(),
  },
  {
    name: 'explain',
    group: ANSWERS,
    summary: 'why a play is credited to its row, and why the others lost',
    load: async () => (await import('./explain.ts')).explainCommand(),
  },
  {
    name: 'ledger',
    group: ANSWERS,
    summary: 'what became of every record, and whether it balances',
    load: async () => (await import('./ledger.ts')).ledgerCommand(),
  },
  {
    name: 'dlq',
    group: ANSWERS,
    summary: 'list dead letters, or send them again',
    load: async () => (await import('./dlq.ts')).dlqCommand(),
  },
];
