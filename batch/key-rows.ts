import type { DuckDBDataChunk, DuckDBVector } from '@duckdb/node-api';
import { type KeyFacts, ORIGIN_CODES } from '../attribution/derive.ts';
import type { ImpressionWords, KeyWords, PlaybackWords } from '../attribution/plays.ts';
import { CLASS_CODES, type Policy } from '../attribution/policy.ts';

/** The columns that facts are read in, with what gives each in SQL, of archived records `r` and keys `k`. */
const FACT_COLUMNS = {
  key: 'k.key',
  isPlayback: `r.type = 'playback'`,
  time: 'r.event_time::DOUBLE',
  id: 'r.event_id',
  rowRank: 'r.row_rank',
  position: 'r.position',
  page: 'r.page',
  rowType: 'r.row_type',
  rowId: 'r.row_id',
  token: 'r.token',
  action: `list_position(['start', 'resume', 'heartbeat', 'pause', 'stop'], r.action) - 1`,
  playbackId: 'r.playback_id',
  kind: `coalesce(list_position(['main', 'trailer', 'preview'], r.kind), 0)`,
  muted: 'case r.muted_autoplay when true then 2 when false then 1 else 0 end',
  runtime: 'coalesce(r.runtime_ms, 0)',
  title: 'r.title_id',
  country: 'r.country',
  device: 'r.device_type',
  originSurface: 'r.origin_surface',
  originRowType: 'r.origin_row_type',
  originRowId: 'r.origin_row_id',
  originRowRank: 'r.origin_row_rank',
  originPosition: 'r.origin_position',
  originToken: 'r.origin_token',
  originImpressionId: 'r.origin_impression_id',
} as const;
type ColumnName = keyof typeof FACT_COLUMNS;
const NAMES = Object.keys(FACT_COLUMNS) as ColumnName[];
export const FACT_COLUMN_COUNT = NAMES.length;

/** What decisions need of playback events alone. */
const OF_PLAYBACK: ReadonlySet<ColumnName> = new Set(NAMES.slice(NAMES.indexOf('action')));

/** The columns as they are selected of impressions alone: reading what decisions do not need of them is most of reading. */
export function columnsOfImpressions(): string {
  const sqlOf = (name: ColumnName) =>
    OF_PLAYBACK.has(name) ? 'null' : name === 'isPlayback' ? 'false' : FACT_COLUMNS[name];
  return NAMES.map((name) => `${sqlOf(name)} as "${name}"`).join(', ');
}

/** The columns as they are selected of any records. */
export function columnsOfFacts(): string {
  return NAMES.map((name) => `${FACT_COLUMNS[name]} as "${name}"`).join(', ');
}

/** The order in which facts are read: key by key, and as `KeyFacts` has them but for ties of odd texts. */
export const FACT_ORDER =
  'key, "isPlayback", "time", "rowRank" desc, "position" desc, action, case when "isPlayback" then id end, id desc';

/** Rows of facts, by column. */
interface FactRows {
  text(column: ColumnName, row: number): string | null;
  number(column: ColumnName, row: number): number;
  numberOrNull(column: ColumnName, row: number): number | null;
}

/**
 * A chunk of rows; texts are decoded when they are asked for. That must be before the next chunk is fetched: what DuckDB has
 * sorted beyond its memory, it takes back then.
 */
export class FactChunk implements FactRows {
  readonly rows: number;
  readonly #vectors: Record<ColumnName, DuckDBVector>;

  constructor(chunk: DuckDBDataChunk) {
    this.rows = chunk.rowCount;
    this.#vectors = Object.fromEntries(NAMES.map((name, i) => [name, chunk.getColumnVector(i)])) as Record<
      ColumnName,
      DuckDBVector
    >;
  }

  text(column: ColumnName, row: number): string | null {
    return this.#vectors[column].getItem(row) as string | null;
  }

  number(column: ColumnName, row: number): number {
    return this.#vectors[column].getItem(row) as number;
  }

  numberOrNull(column: ColumnName, row: number): number | null {
    return this.#vectors[column].getItem(row) as number | null;
  }

  isPlayback(row: number): boolean {
    return this.#vectors.isPlayback.getItem(row) === true;
  }

  /** A row that outlives the chunk. */
  keep(row: number): KeptRow {
    return new KeptRow(NAMES.map((name) => this.#vectors[name].getItem(row)));
  }
}

const PLACES = Object.fromEntries(NAMES.map((name, i) => [name, i])) as Record<ColumnName, number>;

/** One row, decoded. */
class KeptRow implements FactRows {
  readonly #values: readonly unknown[];

  constructor(values: readonly unknown[]) {
    this.#values = values;
  }

  text(column: ColumnName): string | null {
    return this.#values[PLACES[column]] as string | null;
  }

  number(column: ColumnName): number {
    return this.#values[PLACES[column]] as number;
  }

  numberOrNull(column: ColumnName): number | null {
    return this.#values[PLACES[column]] as number | null;
  }
}

function keepAt(places: Place[], index: number): void {
  const { chunk, row } = places[index];
  if (chunk instanceof FactChunk) places[index] = { chunk: chunk.keep(row), row };
}

interface Place {
  chunk: FactRows;
  row: number;
}

/** Classes of row types on surfaces, remembered: there are few. */
export class ClassCodes {
  readonly #policy: Policy;
  readonly #known = new Map<string | null, Map<string, number>>();

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  of(rowType: string | null, surface: string): number {
    let surfaces = this.#known.get(rowType);
    if (surfaces === undefined) this.#known.set(rowType, (surfaces = new Map()));
    let code = surfaces.get(surface);
    if (code === undefined) {
      code = CLASS_CODES[this.#policy.classOf(rowType, surface).class];
      surfaces.set(surface, code);
    }
    return code;
  }
}

/**
 * The facts of one key, as rows that DuckDB sorted: the batch layer's counterpart of the speed layer's `KeyView`. One is filled
 * again and again.
 */
export class KeyRows implements KeyFacts, KeyWords {
  profileId = '';
  workId = '';
  readonly impressions = { count: 0, time: new Float64Array(64), surfaceClass: new Uint8Array(64) };
  readonly playbacks = {
    count: 0,
    time: new Float64Array(64),
    action: new Uint8Array(64),
    playback: new Int32Array(64),
    kind: new Uint8Array(64),
    muted: new Uint8Array(64),
    runtime: new Float64Array(64),
    origin: new Uint8Array(64),
    originClass: new Uint8Array(64),
  };
  playbackIds = 0;
  #seen: Place[] = [];
  #played: Place[] = [];
  #keptSeen = 0;
  #keptPlayed = 0;
  readonly #ids = new Map<string, number>();

  clear(): void {
    this.#seen = [];
    this.#played = [];
    this.#keptSeen = 0;
    this.#keptPlayed = 0;
  }

  add(chunk: FactChunk, row: number): void {
    (chunk.isPlayback(row) ? this.#played : this.#seen).push({ chunk, row });
  }

  /** To be called before another chunk is fetched: what was added is kept beyond its own. */
  keep(): void {
    for (; this.#keptSeen < this.#seen.length; this.#keptSeen++) keepAt(this.#seen, this.#keptSeen);
    for (; this.#keptPlayed < this.#played.length; this.#keptPlayed++) keepAt(this.#played, this.#keptPlayed);
  }

  get hasPlayback(): boolean {
    return this.#played.length > 0;
  }

  /** Makes the columns of what was added, the classes by this policy. */
  load(classes: ClassCodes): this {
    sortUnlessSorted(this.#seen, compareImpressions);
    sortUnlessSorted(this.#played, comparePlaybacks);
    this.#fillImpressions(classes);
    this.#fillPlaybacks(classes);
    return this;
  }

  impressionWords(index: number): ImpressionWords {
    const { chunk, row } = this.#seen[index];
    return {
      id: chunk.text('id', row) ?? '',
      surface: chunk.text('page', row) ?? '',
      rowType: chunk.text('rowType', row) ?? '',
      rowId: chunk.text('rowId', row) ?? '',
      rowRank: chunk.number('rowRank', row),
      position: chunk.number('position', row),
      time: this.impressions.time[index],
    };
  }

  playbackWords(index: number): PlaybackWords {
    const { chunk, row } = this.#played[index];
    const surface = chunk.text('originSurface', row);
    return {
      playbackId: chunk.text('playbackId', row) ?? '',
      title: chunk.text('title', row) ?? '',
      country: chunk.text('country', row) ?? '',
      device: chunk.text('device', row) ?? '',
      origin:
        surface === null
          ? null
          : {
              surface,
              rowType: chunk.text('originRowType', row),
              rowId: chunk.text('originRowId', row),
              rowRank: chunk.numberOrNull('originRowRank', row),
              position: chunk.numberOrNull('originPosition', row),
            },
    };
  }

  names(playback: number, impression: number): boolean {
    const played = this.#played[playback];
    const seen = this.#seen[impression];
    if (this.playbacks.origin[playback] === ORIGIN_CODES.byId) {
      return played.chunk.text('originImpressionId', played.row) === seen.chunk.text('id', seen.row);
    }
    return played.chunk.text('originToken', played.row) === seen.chunk.text('token', seen.row);
  }

  #fillImpressions(classes: ClassCodes): void {
    const columns = this.impressions;
    const count = this.#seen.length;
    if (columns.time.length < count) {
      columns.time = new Float64Array(count * 2);
      columns.surfaceClass = new Uint8Array(count * 2);
    }
    columns.count = count;
    for (let i = 0; i < count; i++) {
      const { chunk, row } = this.#seen[i];
      columns.time[i] = chunk.number('time', row);
      columns.surfaceClass[i] = classes.of(chunk.text('rowType', row), chunk.text('page', row) ?? '');
    }
  }

  #fillPlaybacks(classes: ClassCodes): void {
    const columns = this.playbacks;
    const count = this.#played.length;
    if (columns.time.length < count) this.#growPlaybacks(count * 2);
    columns.count = count;
    this.#ids.clear();
    for (let i = 0; i < count; i++) {
      const { chunk, row } = this.#played[i];
      columns.time[i] = chunk.number('time', row);
      columns.action[i] = chunk.number('action', row);
      columns.playback[i] = this.#numberOf(chunk.text('playbackId', row) ?? '');
      columns.kind[i] = chunk.number('kind', row);
      columns.muted[i] = chunk.number('muted', row);
      columns.runtime[i] = chunk.number('runtime', row);
      const surface = chunk.text('originSurface', row);
      columns.origin[i] = surface === null ? ORIGIN_CODES.none : originCode(chunk, row);
      columns.originClass[i] =
        surface === null ? CLASS_CODES.discovery : classes.of(chunk.text('originRowType', row), surface);
    }
    this.playbackIds = this.#ids.size;
  }

  #numberOf(playbackId: string): number {
    let number = this.#ids.get(playbackId);
    if (number === undefined) this.#ids.set(playbackId, (number = this.#ids.size));
    return number;
  }

  #growPlaybacks(size: number): void {
    const columns = this.playbacks;
    columns.time = new Float64Array(size);
    columns.action = new Uint8Array(size);
    columns.playback = new Int32Array(size);
    columns.kind = new Uint8Array(size);
    columns.muted = new Uint8Array(size);
    columns.runtime = new Float64Array(size);
    columns.origin = new Uint8Array(size);
    columns.originClass = new Uint8Array(size);
  }
}

function originCode(chunk: FactRows, row: number): number {
  if (chunk.text('originImpressionId', row) !== null) return ORIGIN_CODES.byId;
  return chunk.text('originToken', row) === null ? ORIGIN_CODES.claim : ORIGIN_CODES.byToken;
}

/** By time, then the tie rule reversed: lowest row rank, lowest position, smallest id last. */
function compareImpressions(a: Place, b: Place): number {
  return (
    a.chunk.number('time', a.row) - b.chunk.number('time', b.row) ||
    b.chunk.number('rowRank', b.row) - a.chunk.number('rowRank', a.row) ||
    b.chunk.number('position', b.row) - a.chunk.number('position', a.row) ||
    compareCodeUnits(b.chunk.text('id', b.row), a.chunk.text('id', a.row))
  );
}

/** By time, then action, then event id. */
function comparePlaybacks(a: Place, b: Place): number {
  return (
    a.chunk.number('time', a.row) - b.chunk.number('time', b.row) ||
    a.chunk.number('action', a.row) - b.chunk.number('action', b.row) ||
    compareCodeUnits(a.chunk.text('id', a.row), b.chunk.text('id', b.row))
  );
}

/** DuckDB compares bytes of UTF-8, JavaScript (and the rules) UTF-16 code units: mostly the same. */
function compareCodeUnits(a: string | null, b: string | null): number {
  return (a ?? '') < (b ?? '') ? -1 : (a ?? '') > (b ?? '') ? 1 : 0;
}

function sortUnlessSorted(places: Place[], compare: (a: Place, b: Place) => number): void {
  for (let i = 1; i < places.length; i++) {
    if (compare(places[i - 1], places[i]) <= 0) continue;
    places.sort(compare);
    return;
  }
}
