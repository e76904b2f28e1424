import { once } from 'node:events';
import { createRequire } from 'node:module';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { wholeResponses } from '../../platform/kafka-socket.ts';
import { Random } from '../../simulator/random.ts';

let server: net.Server;
let port: number;
/** What is written to whoever connects, each by itself. */
let writes: Buffer[] = [];

beforeAll(async () => {
  server = net.createServer((socket) => {
    void (async () => {
      socket.setNoDelay(true);
      for (const each of writes) {
        socket.write(each);
        if (writes.length < 100) await sleep(1);
      }
      socket.end();
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as net.AddressInfo).port;
});
afterAll(() => server.close());

/** What kafkajs is given, until the other side ends. */
async function given(sent: Buffer[]): Promise<Buffer[]> {
  writes = sent;
  const socket = wholeResponses({ host: '127.0.0.1', port, ssl: undefined as never, onConnect: () => {} });
  const data: Buffer[] = [];
  socket.on('data', (each: Buffer) => data.push(each));
  await once(socket, 'end');
  socket.destroy();
  return data;
}

function response(bytes: number, random: Random): Buffer {
  const whole = Buffer.from(Array.from({ length: 4 + bytes }, () => random.below(256)));
  whole.writeInt32BE(bytes, 0);
  return whole;
}

test('each response comes as one, however it was sent', async () => {
  const random = new Random(1, 'responses');
  const responses = [1, 3, 4, 5, 70_000, 8, 200_000, 4].map((bytes) => response(bytes, random));
  const all = Buffer.concat(responses);
  for (const longest of [3, 60_000, all.length]) {
    const cut: Buffer[] = [];
    for (let at = 0; at < all.length; at += cut[cut.length - 1].length) {
      // The long ones in few pieces: the short ones are what is cut in the middle of its size.
      const length = at < 40 || longest > 3 ? 1 + random.below(longest) : all.length;
      cut.push(all.subarray(at, at + length));
    }
    const data = await given(cut);
    expect(data.map(({ length }) => length)).toEqual(responses.map(({ length }) => length));
    expect(Buffer.concat(data).equals(all)).toBe(true);
  }
});

test.each([
  ['an HTTP server', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['a negative size', Buffer.from([255, 255, 255, 255, 1, 2, 3])],
  ['no size', Buffer.from([0, 0, 0, 0, 1, 2])],
])('what is no response is passed on as it comes: %s', async (_, sent) => {
  expect(Buffer.concat(await given([sent]))).toEqual(sent);
});

test('kafkajs does not copy a response that came whole', () => {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/connection') as {
    prototype: { processData(data: Buffer): void };
  };
  const payloads: Buffer[] = [];
  const requestQueue = { fulfillRequest: ({ payload }: { payload: Buffer }) => payloads.push(payload) };
  const connection = { chunks: [], bytesBuffered: 0, bytesNeeded: 4, authHandlers: null, requestQueue };
  const random = new Random(2, 'responses');
  for (const bytes of [100, 200]) {
    const whole = response(bytes, random);
    prototype.processData.call(connection, whole);
    expect(payloads.at(-1)).toEqual(whole.subarray(8));
    expect(payloads.at(-1)?.buffer).toBe(whole.buffer);
  }
});
