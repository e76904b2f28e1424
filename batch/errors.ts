/** What was asked of the batch layer cannot be done, however often it is tried; the message says what to do. */
export class BatchRequestError extends Error {
  override readonly name = 'BatchRequestError';
}

/** Another commit came first: what was computed may lack what became dirty by it. Begin again. */
export class CommitLostError extends Error {
  override readonly name = 'CommitLostError';
  constructor(parent: number, current: number) {
    super(`Version ${current} was committed after this attempt began from version ${parent}; it must begin again`);
  }
}

/** The attempt was committed, given up or replaced by a later one of the same owner; nothing of it can be written. */
export class AttemptGoneError extends Error {
  override readonly name = 'AttemptGoneError';
  constructor(attempt: number) {
    super(`Attempt ${attempt} is no longer open: it was committed, given up, or begun again`);
  }
}

/** What was computed contradicts the raw files; nothing was committed. */
export class AuditFailedError extends Error {
  override readonly name = 'AuditFailedError';
  constructor(readonly findings: readonly string[]) {
    super(`The audit failed, and nothing was committed:\n${findings.map((finding) => `  - ${finding}`).join('\n')}`);
  }
}

/** The current version was rolled back to, and is held: nothing follows it until it is released. */
export class VersionHeldError extends Error {
  override readonly name = 'VersionHeldError';
  constructor(version: number, by: string, since: string) {
    super(
      `Version ${version} is held by ${by} since ${since}, so that nothing is committed over it; ` +
        'let it go with: npx whence release',
    );
  }
}
