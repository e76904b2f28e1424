/** Files of the archive are missing: those that are there do not follow one another. */
export class ArchiveIncompleteError extends Error {
  override readonly name = 'ArchiveIncompleteError';
  constructor(topic: string, partition: number, after: string, stranded: readonly string[]) {
    super(
      `${topic}/${partition}: no file of the archive continues after ${after}, and yet there are ${stranded.join(', ')}: ` +
        'files in between are missing. Restore them from a backup of the archive.',
    );
  }
}

/** A file that was to be named by the manifest is no longer there: it was taken for one that a crash left. */
export class ArchiveFileSweptError extends Error {
  override readonly name = 'ArchiveFileSweptError';
  constructor(path: string) {
    super(`${path} was removed before it was committed; its records are read again`);
  }
}

/** A file under the archive's prefix is not one of the archive's. */
export class NotAnArchiveFileError extends Error {
  override readonly name = 'NotAnArchiveFileError';
  constructor(path: string, why: string) {
    super(`${path} is no file of the archive (${why}); move it elsewhere`);
  }
}
