import { redactConnectionStrings } from '../platform/redact.ts';

/** Something is wrong with what was asked: the message says what, and what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What kafkajs throws where a broker that answered before does not any more. */
const KAFKA_AWAY =
  /^KafkaJS(Connection|ConnectionClosed|RequestTimeout|NumberOfRetriesExceeded|NoBrokerAvailable|BrokerNotFound)/;
const FORCED_EXIT_MS = 3_000;

/**
 * The one place where a command's error ends: `error: message` where the error was foreseen (it has a class of its own,
 * whose message is made for people), the stack where it was not. The exit code is 1, or what was set before.
 */
export function fail(error: unknown): void {
  process.exitCode ||= 1;
  process.stderr.write(`${describe(error)}\n`);
  // Whatever the command left open must not keep the process alive.
  setTimeout(() => process.exit(), FORCED_EXIT_MS).unref();
}

/** What is printed of an error, without credentials. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return redactConnectionStrings(`error: unexpected: ${String(error)}`);
  // Whoever wrote such a message knew what it may hold.
  if (isForeseen(error) && !wantsStacks()) return `error: ${error.message}`;
  if (KAFKA_AWAY.test(error.name) && !wantsStacks()) {
    return `error: Kafka went away (${error.message}); check that it runs, and do the same again`;
  }
  return redactConnectionStrings(`error: unexpected: ${stackOf(error)}`);
}

/** Our errors name themselves as their class does; built-in ones and those of libraries were not foreseen. */
function isForeseen(error: Error): boolean {
  return error.name === error.constructor.name && !(error.name in globalThis) && !error.name.startsWith('KafkaJS');
}

function wantsStacks(): boolean {
  return ['debug', 'trace'].includes(process.env['WHENCE_LOG_LEVEL']?.toLowerCase() ?? '');
}

function stackOf(error: Error): string {
  const stack = error.stack ?? String(error);
  return error.cause instanceof Error ? `${stack}\nCaused by: ${stackOf(error.cause)}` : stack;
}

/** Whoever read our output (`head`, a pager) has seen enough. */
export function endQuietlyOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}
