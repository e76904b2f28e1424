import { createRequire } from 'node:module';
import net from 'node:net';
import type { ISocketFactory } from 'kafkajs';

/** Of the size before each response of a broker. */
const SIZE_BYTES = 4;
/** Whatever claims to be larger is passed on as it comes: most likely it is no broker that speaks. */
const MOST_BYTES = 64 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
const KEEP_ALIVE_MS = 60_000;

interface Connection {
  bytesBuffered: number;
  chunks: Buffer[];
  processData: (this: Connection, data: Buffer) => void;
}

const require = createRequire(import.meta.url);
const connections = (require('kafkajs/src/network/connection') as { prototype: Connection }).prototype;
const { processData } = connections;
// Of nothing that is left over kafkajs makes one with what comes next, by copying that.
connections.processData = function (data) {
  if (this.bytesBuffered === 0) this.chunks = [];
  processData.call(this, data);
};

/**
 * Makes sockets for kafkajs on which each response of a broker is read into one piece of memory, where it stays. kafkajs
 * gathers pieces of 64 kB and copies them: all that is fetched is allocated twice, and garbage collected twice as often.
 * For connections without TLS; and without SASL, which has answers of other kinds.
 */
export const wholeResponses: ISocketFactory = ({ host, port, onConnect }) => {
  const reading = new ResponseReader((data) => socket.emit('data', data));
  const socket = net.connect(
    {
      host,
      port,
      onread: {
        buffer: () => reading.buffer(),
        callback: (count) => {
          reading.filled(count);
          return true;
        },
      },
    },
    onConnect,
  );
  return socket.setKeepAlive(true, KEEP_ALIVE_MS);
};

class ResponseReader {
  readonly #emit: (data: Buffer) => void;
  /** What is being read: a size, then a response with its size; null where it is no broker that speaks. */
  #response: Buffer | null = Buffer.allocUnsafeSlow(SIZE_BYTES);
  #filled = 0;
  #chunk = Buffer.alloc(0);

  constructor(emit: (data: Buffer) => void) {
    this.#emit = emit;
  }

  /** Where the next bytes are to be put. */
  buffer(): Buffer {
    if (this.#response !== null) return this.#response.subarray(this.#filled);
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    return this.#chunk;
  }

  /** So many bytes were put there. */
  filled(count: number): void {
    if (this.#response === null) {
      this.#emit(this.#chunk.subarray(0, count));
      return;
    }
    this.#filled += count;
    if (this.#filled === SIZE_BYTES) this.#begin(this.#response);
    else if (this.#filled === this.#response.length) this.#end(this.#response);
  }

  #begin(size: Buffer): void {
    const bytes = size.readInt32BE(0);
    if (bytes > 0 && bytes <= MOST_BYTES) {
      this.#response = Buffer.allocUnsafeSlow(SIZE_BYTES + bytes);
      size.copy(this.#response, 0, 0, SIZE_BYTES);
    } else {
      this.#response = null;
      this.#emit(size);
    }
  }

  #end(response: Buffer): void {
    this.#response = Buffer.allocUnsafeSlow(SIZE_BYTES);
    this.#filled = 0;
    this.#emit(response);
  }
}
