import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';
import type { LogLevel } from './settings.ts';
import { createRedactor, REDACTED } from './redact.ts';

export type { Logger } from 'pino';

export interface LogOptions {
  /** What speaks: `stream`, `worker`, … */
  name: string;
  level: LogLevel;
  /** Values that must never be written: `secretsOf(settings)`. */
  secrets: readonly string[];
  /** Where lines go; standard error by default, for people where that is a terminal, as JSON otherwise. */
  destination?: { write(line: string): void };
}

const SECRET_KEYS = ['password', 'apiKey', 'sasl', 'authorization', 'DATABASE_URL', 'databaseUrl', 'connectionString'];

/**
 * Creates the log of a process, on standard error: standard output is for answers. Credentials are removed twice: by the
 * names of the fields that hold them, and by their values from the finished line, whatever message or stack they hid in.
 */
export function createLogger(options: LogOptions): Logger {
  const redactLine = createRedactor(options.secrets);
  return pino(
    {
      name: options.name,
      level: options.level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: REDACTED },
      hooks: { streamWrite: redactLine },
    },
    options.destination ?? standardError(),
  );
}

/** A log that says nothing, for tests and for callers that report by themselves. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}

// Synchronous, so that the last line of a dying process is written.
function standardError(): { write(line: string): void } {
  if (process.stderr.isTTY) return pretty({ destination: 2, sync: true, ignore: 'pid,hostname', colorize: true });
  return pino.destination({ dest: 2, sync: true });
}
