const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ENOENT',
  'EAI_AGAIN',
]);
/** Classes and codes of SQLSTATE: connection lost, out of resources (disk, connections), shutting down, rolled back, timed out. */
const SQLSTATE = /^(08...|53...|57P0[1-4]|40001|40P01|55P03|25006|25P03)$/;
/** Of a file system that is full, or whose disk fails: somebody makes room, or mounts it again. */
const FILES = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE']);
const NO_SPACE = /no space left on device/i;
const NODE_POSTGRES = /connection terminated|timeout exceeded when trying to connect|connection error|not queryable/i;

/** Whether an error is Postgres's, of this SQLSTATE. */
export function hasSqlState(error: unknown, state: string): boolean {
  return (error as { code?: unknown } | null)?.code === state;
}

/** Whether a statement waited for a lock for as long as it may (`lock_timeout`). */
export function isLocked(error: unknown): boolean {
  return hasSqlState(error, '55P03');
}

/**
 * Whether a failure to use Postgres is expected to pass by itself: the server is away, restarting or out of room, or asks
 * to run the transaction again. Everything else (a constraint, a syntax error) would fail the same way for ever.
 */
export function isPassing(error: Error): boolean {
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string' && (NETWORK.has(code) || SQLSTATE.test(code))) return true;
  return NODE_POSTGRES.test(error.message);
}

/** The same for the storage: its disk is full, its server is away or has too much to do. */
export function isStoragePassing(error: Error): boolean {
  const { code, $metadata } = error as { code?: unknown; $metadata?: { httpStatusCode?: number } };
  if (typeof code === 'string' && (FILES.has(code) || (NETWORK.has(code) && code !== 'ENOENT'))) return true;
  // What is wrong with the request stays so.
  return ($metadata?.httpStatusCode ?? 0) >= 500 || $metadata?.httpStatusCode === 429 || NO_SPACE.test(error.message);
}
