import { expect, test } from 'vitest';
import { parseEvent } from '../../attribution/validate.ts';
import { type Counted, count, DAY, MINUTE, stream, tally } from './reader.ts';

const { records, ledger } = stream();
const asOne = count(records, 1);
const valid = asOne.filter(({ fault }) => fault === null);

test('the medium run has at least 100,000 lines, each counted once', () => {
  expect(records.length).toBeGreaterThanOrEqual(100_000);
  expect(ledger.records).toBe(records.length);
  let consumed = 0;
  for (const row of ledger.expected) {
    consumed += row.consumed;
    expect(row.applied + row.duplicate + row.late + row.excluded + row.dead_lettered).toBe(row.consumed);
  }
  expect(consumed).toBe(records.length);
});

test.each([1, 3, 12, 1_000_003])('a reader of %i partitions counts what the ledger says', (partitions) => {
  expect(tally(count(records, partitions))).toEqual(ledger.expected);
});

test.each([2, 3, 4])('that holds for seed %i, few profiles and one day as well', (seed) => {
  const small = stream({ seed, profiles: 40, days: 1 });
  for (const partitions of [1, 5]) expect(tally(count(small.records, partitions))).toEqual(small.ledger.expected);
});

test('the contract as the core reads it finds the same records valid, at the same times', () => {
  const stamped = Date.UTC(2026, 0, 1);
  for (const { line, fault, time } of records) {
    const result = parseEvent(line, stamped);
    if (result.ok !== (fault === null) || (result.ok && result.event.event_time !== time)) {
      expect.unreachable(`the readers disagree about ${line}`);
    }
  }
});

test('what is on time is so by a margin against the whole topic, hence under any partitioning', () => {
  const behind = valid
    .filter(({ outcome }) => outcome === 'applied' || outcome === 'excluded')
    .map(({ greatest, time }) => greatest - time);
  expect(behind.reduce((most, each) => Math.max(most, each))).toBeLessThanOrEqual(8 * MINUTE);
});

test('what is late comes after an on-time record of its own profile and topic that makes it late', () => {
  const seen = new Map<string, number>();
  for (const { outcome, topic, profile, time } of valid) {
    const key = `${topic} ${profile}`;
    const latest = seen.get(key) ?? -Infinity;
    if (outcome === 'late') expect(latest).toBeGreaterThan(time + 10 * MINUTE);
    if (outcome === 'applied' || outcome === 'excluded') seen.set(key, Math.max(latest, time));
  }
});

test('a copy comes while its first is remembered: less than 24 h of event time after either', () => {
  const firsts = new Map<string, Counted>();
  for (const record of valid) {
    const first = firsts.get(record.identity);
    if (first === undefined) firsts.set(record.identity, record);
    else expect(record.greatest - first.time).toBeLessThan(DAY);
  }
});

test('no valid event lies outside the range of days', () => {
  const from = Date.parse(ledger.from);
  const to = Date.parse(ledger.to) + DAY;
  // A copy in conflict may state an earlier time than its first.
  expect(valid.every(({ time, outcome }) => time < to && time >= from - (outcome === 'duplicate' ? MINUTE : 0))).toBe(
    true,
  );
});

test('what the ledger says it injected on the way is what the lines show', () => {
  const { injected } = ledger;
  expect(injected.duplicates).toBe(valid.filter(({ outcome }) => outcome === 'duplicate').length);
  expect(injected.late).toBe(valid.filter(({ outcome }) => outcome === 'late').length);
  const lines = new Map<string, string>();
  let conflicts = 0;
  for (const { identity, line } of valid) {
    if (lines.has(identity) && lines.get(identity) !== line) conflicts++;
    else lines.set(identity, line);
  }
  expect(injected.conflicts).toBe(conflicts);
  const faults: Record<string, number> = {};
  for (const { fault } of asOne) if (fault !== null) faults[fault] = (faults[fault] ?? 0) + 1;
  const { truncated, not_json: notJson, ...poison } = injected.poison;
  expect(faults).toEqual({ ...poison, not_json: notJson + truncated });
});
