import {
  Bool,
  BufferType,
  Data,
  type DataType,
  Dictionary,
  Field,
  Float64,
  Int32,
  Int64,
  Int8,
  makeData,
  Schema,
  TimestampMillisecond,
  Utf8,
  Vector,
} from 'apache-arrow';
import { COLUMNS, type Column } from './schema.ts';

export type Value = string | number | boolean | null;

/** Gathers the values of one column for one record batch. */
export interface ArrowColumn {
  readonly type: DataType;
  add(value: Value): void;
  /** What was gathered since the last call; its memory is not used again. */
  take(): Data;
}

/** @param rows of a record batch, at most */
export function arrowColumns(categories: ReadonlyMap<string, readonly string[]>, rows: number): ArrowColumn[] {
  return COLUMNS.map((column, place) => arrowColumn(column, place, categories.get(column.name) ?? [], rows));
}

export function arrowSchema(columns: readonly ArrowColumn[]): Schema {
  return new Schema(COLUMNS.map(({ name, nullable }, i) => new Field(name, columns[i].type, nullable)));
}

function arrowColumn(column: Column, place: number, texts: readonly string[], rows: number): ArrowColumn {
  switch (column.type) {
    case 'text':
      return new TextColumn();
    case 'category':
      return new CategoryColumn(place, texts, rows);
    case 'bool':
      return new BoolColumn(rows);
    case 'int8':
      return new FixedColumn(new Int8(), Int8Array, rows);
    case 'int32':
      return new FixedColumn(new Int32(), Int32Array, rows);
    case 'float64':
      return new FixedColumn(new Float64(), Float64Array, rows);
    case 'int64':
      return new BigColumn(new Int64(), rows);
    case 'time':
      return new BigColumn(new TimestampMillisecond('UTC'), rows);
  }
}

interface Nulls {
  nullCount: number;
  nullBitmap: Uint8Array;
}

/** Which values there are: a bit each, from the lowest of a byte on. Nulls hold 0, so that equal rows have equal bytes. */
class Validity {
  #bits: Uint8Array<ArrayBuffer>;
  readonly #rows: number;
  nulls = 0;

  constructor(rows: number) {
    this.#rows = rows;
    this.#bits = new Uint8Array(Math.ceil(rows / 8));
  }

  set(index: number, isThere: boolean): void {
    if (isThere) this.#bits[index >> 3] |= 1 << (index & 7);
    else this.nulls++;
  }

  take(): Nulls {
    const taken = { nullCount: this.nulls, nullBitmap: this.#bits };
    this.#bits = new Uint8Array(Math.ceil(this.#rows / 8));
    this.nulls = 0;
    return taken;
  }
}

function fixedWidth(type: DataType, length: number, values: unknown, { nullCount, nullBitmap }: Nulls): Data {
  return new Data<DataType>(type, 0, length, nullCount, {
    [BufferType.DATA]: values,
    [BufferType.VALIDITY]: nullBitmap,
  });
}

type Fixed = { Int8: Int8Array; Int32: Int32Array; Float64: Float64Array };

/** Numbers of fixed width, as JavaScript has them. */
class FixedColumn<Type extends Int8 | Int32 | Float64> implements ArrowColumn {
  #values: Fixed[keyof Fixed];
  #length = 0;
  readonly #validity: Validity;

  constructor(
    readonly type: Type,
    readonly values: new (length: number) => Fixed[keyof Fixed],
    readonly rows: number,
  ) {
    this.#values = new values(rows);
    this.#validity = new Validity(rows);
  }

  add(value: Value): void {
    this.#validity.set(this.#length, value !== null);
    this.#values[this.#length++] = Number(value ?? 0);
  }

  take(): Data {
    const [length, data] = [this.#length, this.#values.subarray(0, this.#length)];
    this.#values = new this.values(this.rows);
    this.#length = 0;
    return fixedWidth(this.type, length, data, this.#validity.take());
  }
}

class BigColumn<Type extends Int64 | TimestampMillisecond> implements ArrowColumn {
  #values: BigInt64Array;
  #length = 0;
  readonly #validity: Validity;

  constructor(
    readonly type: Type,
    readonly rows: number,
  ) {
    this.#values = new BigInt64Array(rows);
    this.#validity = new Validity(rows);
  }

  add(value: Value): void {
    this.#validity.set(this.#length, value !== null);
    this.#values[this.#length++] = BigInt(Number(value ?? 0));
  }

  take(): Data {
    const [length, data] = [this.#length, this.#values.subarray(0, this.#length)];
    this.#values = new BigInt64Array(this.rows);
    this.#length = 0;
    return fixedWidth(this.type, length, data, this.#validity.take());
  }
}

class BoolColumn implements ArrowColumn {
  readonly type = new Bool();
  readonly #rows: number;
  #bits: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor(rows: number) {
    this.#rows = rows;
    this.#bits = new Uint8Array(Math.ceil(rows / 8));
  }

  add(value: Value): void {
    if (value === true) this.#bits[this.#length >> 3] |= 1 << (this.#length & 7);
    this.#length++;
  }

  take(): Data {
    const [length, data] = [this.#length, this.#bits.subarray(0, Math.ceil(this.#length / 8))];
    this.#bits = new Uint8Array(Math.ceil(this.#rows / 8));
    this.#length = 0;
    return makeData({ type: this.type, length, nullCount: 0, data });
  }
}

class TextColumn implements ArrowColumn {
  readonly type = new Utf8();
  #bytes = Buffer.alloc(4_096);
  #used = 0;
  #offsets: number[] = [0];

  add(value: Value): void {
    const text = String(value ?? '');
    const most = this.#used + text.length * 3;
    if (most > this.#bytes.length) {
      const grown = Buffer.alloc(most * 2);
      this.#bytes.copy(grown, 0, 0, this.#used);
      this.#bytes = grown;
    }
    this.#used += this.#bytes.write(text, this.#used, 'utf8');
    this.#offsets.push(this.#used);
  }

  take(): Data<Utf8> {
    const data = new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#used);
    const valueOffsets = Int32Array.from(this.#offsets);
    this.#bytes = Buffer.alloc(this.#bytes.length);
    this.#used = 0;
    this.#offsets = [0];
    return makeData({ type: this.type, length: valueOffsets.length - 1, nullCount: 0, valueOffsets, data });
  }
}

/** One dictionary for all batches of a file: Arrow's file format has no other, and apache-arrow refuses a second one. */
class CategoryColumn implements ArrowColumn {
  readonly type: Dictionary<Utf8, Int32>;
  readonly #dictionary: Vector<Utf8>;
  readonly #indices: FixedColumn<Int32>;
  readonly #indexOf: ReadonlyMap<string, number>;

  /** @param id of the dictionary: left to apache-arrow, it would depend on what the process had written before */
  constructor(id: number, texts: readonly string[], rows: number) {
    this.type = new Dictionary(new Utf8(), new Int32(), id);
    const column = new TextColumn();
    for (const text of texts) column.add(text);
    this.#dictionary = new Vector<Utf8>([column.take()]);
    this.#indices = new FixedColumn(new Int32(), Int32Array, rows);
    this.#indexOf = new Map(texts.map((text, index) => [text, index]));
  }

  add(value: Value): void {
    if (value === null) {
      this.#indices.add(null);
      return;
    }
    const index = this.#indexOf.get(String(value));
    if (index === undefined) throw new RangeError(`The category has no text ${JSON.stringify(value)}`);
    this.#indices.add(index);
  }

  take(): Data {
    const { length, nullCount, nullBitmap, values } = this.#indices.take();
    return makeData({ type: this.type, length, nullCount, nullBitmap, data: values, dictionary: this.#dictionary });
  }
}
