import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Alarm, BESIDE_CATCH_UP_LINGER_MS, CATCH_UP_LINGER_MS, LINGER_MS, lingerOf } from '../../streaming/linger.ts';

const atEnd = { position: 100, end: 101, committed: 90 };
const behind = { position: 100, end: 90_000, committed: 90 };
const unread = { ...behind, committed: behind.position };

test('what is live is committed at once, what is being caught up in large pieces', () => {
  expect(lingerOf([atEnd, atEnd])).toBe(LINGER_MS);
  expect(lingerOf([behind, behind])).toBe(CATCH_UP_LINGER_MS);
  expect(lingerOf([behind, { ...atEnd, committed: atEnd.position }])).toBe(CATCH_UP_LINGER_MS);
});

test('a topic at its end does not wait for one that is far behind, be it that nothing of that can be read', () => {
  expect(lingerOf([atEnd, behind])).toBe(BESIDE_CATCH_UP_LINGER_MS);
  expect(lingerOf([atEnd, unread])).toBe(BESIDE_CATCH_UP_LINGER_MS);
});

test('an alarm rings once, at the earliest time that it was set to', async () => {
  let rings = 0;
  const alarm = new Alarm(() => rings++);
  alarm.within(60_000);
  alarm.within(1);
  alarm.within(60_000);
  await sleep(50);
  expect(rings).toBe(1);
  alarm.within(1);
  alarm.clear();
  await sleep(50);
  expect(rings).toBe(1);
});
