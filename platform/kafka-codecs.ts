import kafkajs from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { compress as compressSnappy, uncompress as uncompressSnappy } from 'snappy';
import { compress as compressZstd, decompress as decompressZstd } from 'zstd-napi';

// Kafkajs knows only gzip; without the others, one foreign producer would stop a consumer.

/** What kafkajs calls to compress and decompress the records of a batch. */
interface Codec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
}

/** Bytes of a compressed batch that do not say what they should. */
export class CorruptCompressionError extends Error {
  override readonly name = 'CorruptCompressionError';
}

/** Kafka uses the LZ4 frame format, not raw blocks. */
export const lz4: Codec = {
  compress: async ({ buffer }) => compressFrame(buffer),
  decompress: async (buffer) => decompressFrame(buffer),
};

export const zstd: Codec = {
  compress: async ({ buffer }) => compressZstd(buffer),
  decompress: async (buffer) => decompressZstd(buffer),
};

// The stream format of snappy-java ("xerial"), which the Java clients write and expect: a header of 16 bytes, then blocks,
// each with its compressed length before it. Clients built on librdkafka write one raw block without a header.
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER = Buffer.concat([XERIAL_MAGIC, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])]);
const XERIAL_BLOCK = 32 * 1024;

export const snappy: Codec = {
  async compress({ buffer }) {
    const parts: Buffer[] = [XERIAL_HEADER];
    for (let start = 0; start < buffer.length; start += XERIAL_BLOCK) {
      const block = await compressSnappy(buffer.subarray(start, start + XERIAL_BLOCK));
      const length = Buffer.alloc(4);
      length.writeUInt32BE(block.length);
      parts.push(length, block);
    }
    return Buffer.concat(parts);
  },
  async decompress(buffer) {
    if (!buffer.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return uncompressBlock(buffer);
    const parts: Buffer[] = [];
    for (let at = XERIAL_HEADER.length; at < buffer.length;) {
      if (at + 4 > buffer.length) throw new CorruptCompressionError('a snappy stream ends inside a block length');
      const end = at + 4 + buffer.readUInt32BE(at);
      if (end > buffer.length) throw new CorruptCompressionError('a snappy stream ends inside a block');
      parts.push(await uncompressBlock(buffer.subarray(at + 4, end)));
      at = end;
    }
    return Buffer.concat(parts);
  },
};

async function uncompressBlock(block: Buffer): Promise<Buffer> {
  return (await uncompressSnappy(block, { asBuffer: true })) as Buffer;
}

/** Makes the codecs known to kafkajs, which keeps them for the process. Harmless to repeat. */
export function registerCodecs(): void {
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.Snappy] = () => snappy;
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => lz4;
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => zstd;
}
