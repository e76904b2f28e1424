// What can go wrong when real servers are started on someone's machine: each says what, where, and what to do.

/** Another program holds a port that a service of ours was to have. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
  readonly port: number;
  constructor(service: string, port: number, option: string) {
    super(
      `Port ${port} on 127.0.0.1, wanted for ${service}, is taken by another program; ` +
        `stop that program, or choose another port with ${option}`,
    );
    this.port = port;
  }
}

/** A program that must be installed first is missing. */
export class MissingPrerequisiteError extends Error {
  override readonly name = 'MissingPrerequisiteError';
  constructor(missing: string, neededFor: string, whatToDo: string) {
    super(`${missing} is missing, needed for ${neededFor}; ${whatToDo}`);
  }
}

/** Something that is fetched once and kept could not be fetched. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError';
  constructor(what: string, command: string, output: string, whatToDo: string) {
    super(`Could not download ${what}: "${command}" failed; ${whatToDo}. It said:\n${indent(lastLines(output, 12))}`);
  }
}

/** A service ended while it started, or did not answer in time. Carries the last lines of its log. */
export class ServiceStartError extends Error {
  override readonly name = 'ServiceStartError';
  readonly logTail: string;
  constructor(service: string, what: string, logFile: string, log: string) {
    const tail = lastLines(log, 20);
    super(`${service} ${what}. The end of its log, ${logFile}:\n${indent(tail === '' ? '(empty)' : tail)}`);
    this.logTail = tail;
  }
}

/** Postgres, which does not run as root, cannot get at a folder that it needs. */
export class InaccessibleFolderError extends Error {
  override readonly name = 'InaccessibleFolderError';
  constructor(folder: string, user: string, wanted: string, whatToDo: string) {
    super(
      `Postgres cannot run as root and so runs as the user "${user}", ` +
        `who may not enter ${folder} and so cannot reach ${wanted}; ${whatToDo}`,
    );
  }
}

/** An address that the environment names does not answer. */
export class AddressNotAnsweringError extends Error {
  override readonly name = 'AddressNotAnsweringError';
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ');
}
