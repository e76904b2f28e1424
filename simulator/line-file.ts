import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';

const CHUNK = 1 << 20;

/** Lines into a stream in large chunks, no faster than it takes them. */
export class LineFile {
  private readonly out: Writable;
  private readonly ends: boolean;
  /** Chunks that the stream has done with, to be used again. */
  private readonly free: Buffer[] = [];
  private chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK);
  private filled = 0;
  private clogged = false;
  private failure: Error | null = null;

  /** `ends`: whether to end the stream at close; standard output is not ours to end. */
  constructor(out: Writable, ends: boolean) {
    this.out = out;
    this.ends = ends;
    out.on('error', (error) => {
      this.failure = error;
    });
  }

  /** A new file, or an existing one from its beginning; rejects where it cannot be opened. */
  static async create(path: string): Promise<LineFile> {
    const out = createWriteStream(path, { highWaterMark: 4 * CHUNK });
    await once(out, 'open');
    return new LineFile(out, true);
  }

  add(line: string): void {
    // A UTF-16 unit takes at most three bytes.
    const most = line.length * 3 + 1;
    if (this.filled + most > this.chunk.length) this.flush(most);
    this.filled += this.chunk.write(line, this.filled, 'utf8');
    this.chunk[this.filled++] = 0x0a;
  }

  /** Hands over what there is, and makes room for as many bytes. */
  flush(room = 0): void {
    if (this.filled === 0) return;
    const { chunk } = this;
    this.clogged = !this.out.write(chunk.subarray(0, this.filled), () => this.free.push(chunk));
    const next = this.free.pop();
    this.chunk = next !== undefined && next.length >= room ? next : Buffer.allocUnsafeSlow(Math.max(CHUNK, room));
    this.filled = 0;
  }

  /** Resolves once the stream takes more; rejects with the error that it failed with. */
  async drained(): Promise<void> {
    this.throwIfFailed();
    if (!this.clogged) return;
    await once(this.out, 'drain');
    this.clogged = false;
    this.throwIfFailed();
  }

  async close(): Promise<void> {
    this.flush();
    this.throwIfFailed();
    if (this.ends) {
      this.out.end();
      await once(this.out, 'close');
    } else {
      await new Promise<void>((resolve) => this.out.write('', () => resolve()));
    }
    this.throwIfFailed();
  }

  private throwIfFailed(): void {
    if (this.failure !== null) throw this.failure;
  }
}
