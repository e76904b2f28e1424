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

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
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
];
