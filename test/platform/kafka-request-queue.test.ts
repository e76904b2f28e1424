import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { createKafka } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';

interface Queue {
  maybeThrottle(milliseconds: number): void;
  push(request: { entry: object; expectResponse: boolean; sendRequest: () => void }): void;
  fulfillRequest(response: { correlationId: number; payload: null; size: number }): void;
  checkPendingRequests(): void;
  destroy(): void;
}

// It is there for all clients of ours.
createKafka({ brokers: ['localhost:1'], clientId: 'test', log: silentLogger() });
const require = createRequire(import.meta.url);
const RequestQueue = require('kafkajs/src/network/requestQueue') as new (options: object) => Queue;
const logger = { debug() {}, warn() {} };

let queue: Queue;
let sent: number[];
/** How often waiting requests were looked for. */
let looks: number;
beforeEach(() => {
  queue = new RequestQueue({ maxInFlightRequests: 1, requestTimeout: 1_000, clientId: 'a', broker: 'b', logger });
  sent = [];
  looks = 0;
  const check = queue.checkPendingRequests.bind(queue);
  queue.checkPendingRequests = () => {
    looks++;
    check();
  };
});

function push(correlationId: number): void {
  queue.push({
    entry: { correlationId, resolve() {}, reject() {} },
    expectResponse: true,
    sendRequest: () => sent.push(correlationId),
  });
}
const answer = (correlationId: number) => queue.fulfillRequest({ correlationId, payload: null, size: 0 });

test('a connection on which nothing waits is not looked at', async () => {
  push(1);
  answer(1);
  await sleep(50);
  expect(looks).toBe(1);
});

test('what waits for another request is sent at its answer', () => {
  push(1);
  push(2);
  expect(sent).toEqual([1]);
  answer(1);
  expect(sent).toEqual([1, 2]);
  queue.destroy();
});

test('what waits since a broker throttles is sent without anything else happening', async () => {
  queue.maybeThrottle(20);
  push(1);
  expect(sent).toEqual([]);
  await expect.poll(() => sent).toEqual([1]);
  const before = looks;
  await sleep(50);
  expect(looks).toBe(before);
});
