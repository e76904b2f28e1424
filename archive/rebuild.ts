import { type Storage, withLease } from '../platform/storage.ts';
import { ArchiveIncompleteError } from './errors.ts';
import { ARCHIVE_PREFIX, type ArchiveFile, type FileDescription, type LogPlace, prefixOf } from './file.ts';
import { sha256Of } from './publish.ts';
import { readDescriptions } from './read-descriptions.ts';

export interface RebuiltManifest {
  /** By topic (code units), partition, log and offset. */
  files: ArchiveFile[];
  /** Keys of files that were published and never committed. */
  orphans: string[];
}

type Described = FileDescription & { path: string };

/** The installations that have files in a storage. */
export async function listInstallations(storage: Storage): Promise<string[]> {
  const keys = await storage.list(ARCHIVE_PREFIX);
  return [...new Set(keys.map((key) => key.split('/')[1]))];
}

/**
 * The manifest, from the files alone.
 *
 * A file says after which place the archive stood when it was begun, and whoever wrote it had read that from a commit: so
 * every file proves that some committed file ends there. From each place on, the committed file is therefore the one that
 * ends at the *nearest* proven place; others that begin there were published and never committed. (None of those ends
 * nearer: a file would have to begin where no commit ended.) Two files of the same range hold the same records; the next
 * commit names the one before it.
 *
 * Files that were merged into one hold the same records as it: it is taken where the others can follow it, else they are.
 *
 * Only of the last file of a topic-partition nothing can say whether it was committed or the crash came just before: it is
 * taken. Its records are valid and follow on, so the manifest is then ahead by one commit that would have been.
 *
 * @param installation see `listInstallations`
 * @throws ArchiveIncompleteError where a file is missing, NotAnArchiveFileError
 */
export async function rebuildManifest(storage: Storage, installation: string): Promise<RebuiltManifest> {
  const descriptions = await readDescriptions(storage, await storage.list(prefixOf(installation)));
  const groups = new Map<string, Described[]>();
  for (const [path, description] of descriptions) {
    const name = JSON.stringify([description.topic, description.partition]);
    const group = groups.get(name) ?? [];
    groups.set(name, group);
    group.push({ ...description, path });
  }
  const chains = [...groups.values()]
    .map(chainOf)
    .sort(([a], [b]) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
  const files: ArchiveFile[] = [];
  for (const file of chains.flat()) {
    const sha256 = await withLease(storage, async (lease) => sha256Of((await lease.take([{ key: file.path }]))[0]));
    files.push({ ...file, bytes: await storage.size(file.path), sha256 });
  }
  const kept = new Set(files.map(({ path }) => path));
  return { files, orphans: [...descriptions.keys()].filter((path) => !kept.has(path)).sort() };
}

/** The committed files of a topic-partition, in order. */
function chainOf(files: readonly Described[]): Described[] {
  const proven = files.map(({ after }) => after).sort(comparePlaces);
  const named = new Set(files.map(({ previous }) => previous));
  /** Places from which no way leads to the end. */
  const dead = new Set<string>();
  const choicesAt = (place: LogPlace): Described[] => {
    const here = files.filter(({ after }) => comparePlaces(after, place) === 0);
    const merged = here.filter(({ replaces }) => replaces !== undefined);
    const written = here.filter(({ replaces }) => replaces === undefined);
    const next = proven.find((other) => comparePlaces(other, place) > 0);
    const chosen =
      next === undefined
        ? longest(written)
        : latest(
            written.filter((file) => endsAt(file, next)),
            named,
          );
    const choices = [...merged.sort(byLength), ...(chosen === undefined ? [] : [chosen])];
    return choices.filter(({ log, to }) => !dead.has(nameOf({ log, offset: to })));
  };
  const chain: Described[] = [];
  // At each place that the chain has come to, what else it could have gone on with: where files are merged, a way may end.
  const others: Described[][] = [];
  let place: LogPlace = { log: 0, offset: 0 };
  let furthest = place;
  for (;;) {
    const [choice, ...rest] = choicesAt(place);
    if (choice !== undefined) {
      chain.push(choice);
      others.push(rest);
    } else {
      const stranded = files.filter(({ after }) => comparePlaces(after, place) > 0);
      if (stranded.length === 0) return chain;
      if (comparePlaces(place, furthest) > 0) furthest = place;
      dead.add(nameOf(place));
      while (others.at(-1)?.length === 0) {
        others.pop();
        const left = chain.pop();
        if (left !== undefined) dead.add(nameOf(left.after));
      }
      const other = others.at(-1)?.shift();
      if (other === undefined) throw incomplete(files, furthest);
      chain[chain.length - 1] = other;
    }
    const end = chain[chain.length - 1];
    place = { log: end.log, offset: end.to };
  }
}

function incomplete(files: readonly Described[], place: LogPlace): ArchiveIncompleteError {
  const stranded = files.filter(({ after }) => comparePlaces(after, place) > 0).map(({ path }) => path);
  return new ArchiveIncompleteError(files[0].topic, files[0].partition, `offset ${place.offset}`, stranded);
}

function nameOf({ log, offset }: LogPlace): string {
  return `${log}/${offset}`;
}

function endsAt(file: Described, place: LogPlace): boolean {
  return file.log === place.log && file.to === place.offset;
}

/** Of files of the same range: the one that a later file names, or else the one written last. */
function latest(files: readonly Described[], named: ReadonlySet<string | null>): Described | undefined {
  return [...files].sort(
    (a, b) => Number(named.has(b.path)) - Number(named.has(a.path)) || b.createdAt - a.createdAt,
  )[0];
}

function longest(files: readonly Described[]): Described | undefined {
  return [...files].sort(byLength)[0];
}

function byLength(a: Described, b: Described): number {
  return b.log - a.log || b.to - a.to || b.createdAt - a.createdAt;
}

function comparePlaces(a: LogPlace, b: LogPlace): number {
  return a.log - b.log || a.offset - b.offset;
}
