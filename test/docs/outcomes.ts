/** Holds what an example states against what an implementation of the rules answers. */

import { parseEvent } from '../../attribution/validate.ts';
import type { LogRecord, Mode, OracleAnswer, OraclePlay } from '../oracle/oracle.ts';
import { timeOf, type Example, type StatedPlay } from './examples.ts';

/** An implementation of the rules: the core, or the oracle. */
export interface Implementation {
  answer(log: readonly LogRecord[], layer: Mode): OracleAnswer;
  /** How many records the speed layer puts under each heading of the ledger. */
  ledger(log: readonly LogRecord[]): Record<'applied' | 'duplicate' | 'late' | 'excluded', number>;
  isFinal(endedAt: number, watermark: number): boolean;
}

/** All differences, in words; none where the example is true. */
export function differences(example: Example, implementation: Implementation): string[] {
  const { log, deadLettered } = logOf(example);
  const found = (['speed', 'batch'] as const).flatMap((layer) => {
    const answer = implementation.answer(log, layer);
    const stated = example.plays.filter((play) => play.layer === null || play.layer === layer);
    const missing = answer.plays.filter((play) => !stated.some((line) => names(line, play)));
    return [
      ...missing.map((play) => `${layer}: ${nameOf(play)} is not stated`),
      ...stated.flatMap((line) => {
        const play = answer.plays.find((play) => names(line, play));
        if (play === undefined) return [`${layer}: there is no play ${line.playback} ${line.from}-${line.to}`];
        return line.says.flatMap((text) => compare(text, play, answer, implementation));
      }),
    ];
  });
  if (example.ledger !== null) {
    const counted = { consumed: example.deliveries.length, ...implementation.ledger(log), dead_lettered: deadLettered };
    const is = Object.entries(counted).flatMap(([name, count]) => (count === 0 ? [] : [`${name}=${count}`]));
    if (is.join(' ') !== example.ledger.replace(/\s+/g, ' ')) found.push(`the ledger is ${is.join(' ')}`);
  }
  return found;
}

/** The valid records at their places in the log; the others are dead letters. */
function logOf(example: Example): { log: LogRecord[]; deadLettered: number } {
  const log: LogRecord[] = [];
  example.deliveries.forEach(({ event, arrivesAt }, offset) => {
    const topic = event.type === 'impression' ? 'impressions' : 'playback';
    const read = parseEvent(JSON.stringify(event), arrivesAt);
    if (read.ok) log.push({ topic, partition: 0, offset, event: read.event });
  });
  return { log, deadLettered: example.deliveries.length - log.length };
}

function names(line: StatedPlay, play: OraclePlay): boolean {
  const { playback, from, to } = line;
  return playback === play.playback_id && timeOf(from) === play.started_at && timeOf(to) === play.ended_at;
}

function nameOf(play: OraclePlay): string {
  return `${play.playback_id} ${timeText(play.started_at)}-${timeText(play.ended_at)}`;
}

/** What an outcome line says of a play, against the play put in the same words. */
function compare(text: string, play: OraclePlay, answer: OracleAnswer, implementation: Implementation): string[] {
  const [name, value] = text.split('=');
  if (value === undefined) {
    const flag = name.replace(/^not_/, '');
    const is = flagsOf(play).get(flag);
    if (is === undefined) throw new Error(`"${text}" says nothing of a play`);
    return is === (flag === name) ? [] : [`${nameOf(play)}: ${flag} is ${is}`];
  }
  if (name === 'final_after') {
    const isFinal = (ms: number) => implementation.isFinal(play.ended_at, timeOf(value) + ms);
    return !isFinal(0) && isFinal(1) ? [] : [`${nameOf(play)} is not final from just after ${value}`];
  }
  const is = wordsOf(play, answer).get(name);
  if (is === undefined) throw new Error(`"${text}" says nothing of a play`);
  return is === value ? [] : [`${nameOf(play)}: ${name} is ${is}, stated ${value}`];
}

function flagsOf(play: OraclePlay): Map<string, boolean> {
  const { qualified, assisted, inferred_start, inferred_end, orphan_token, is_discovery: discovery } = play;
  return new Map(Object.entries({ qualified, assisted, inferred_start, inferred_end, orphan_token, discovery }));
}

function wordsOf(play: OraclePlay, answer: OracleAnswer): Map<string, string> {
  const { path } = play;
  const words = new Map([
    ['profile', play.profile_id],
    ['work', play.work_id],
    ['title', play.title_id],
    ['device', play.device_type],
    ['day', play.day],
    ['playbacks', play.playback_ids.join(',')],
    ['watched', `${play.watched_ms / 1000}s`],
    ['rule', play.rule],
    ['sop', sourceText(play.sop_evidence, play.sop_impression_id, play.sop_surface, play.sop_row_type)],
    ['sop_class', play.sop_class ?? 'none'],
    ['sop_row', play.sop_row_type ?? 'none'],
    ['sod', sourceText(play.sod_evidence, play.sod_impression_id, play.sod_surface, play.sod_row_type)],
    ['sod_class', play.sod_class ?? 'none'],
    ['discovered', play.discovered_at === null ? 'never' : timeText(play.discovered_at)],
    ['path', path.map((touch) => touch.impression_id ?? 'launch').join(',') || 'none'],
    ['touched', path.map((touch) => timeText(touch.touched_at)).join(',')],
    ['touches', String(path.length)],
    ['omitted', String(play.touches_omitted)],
  ]);
  for (const model of ['last_touch', 'first_touch', 'linear', 'position_based', 'time_decay'] as const) {
    const own = answer.credits.filter((credit) => credit.model === model && isCreditOf(credit, play));
    const weights = path.map((_, index) => own.find((credit) => credit.touch_index === index)?.weight ?? 0);
    words.set(model, weights.map((weight) => String(Number(weight.toFixed(9)))).join(',') || 'none');
  }
  return words;
}

/** `exact:i1`, `claimed:home/genre`, `none:unknown`: the evidence, and the impression or else the row. */
function sourceText(evidence: string, impressionId: string | null, surface: string, rowType: string | null): string {
  return `${evidence}:${impressionId ?? (rowType === null ? surface : `${surface}/${rowType}`)}`;
}

function isCreditOf(credit: OracleAnswer['credits'][number], play: OraclePlay): boolean {
  return (
    credit.profile_id === play.profile_id && credit.work_id === play.work_id && credit.started_at === play.started_at
  );
}

/** A time as the examples write it. */
function timeText(time: number): string {
  const iso = new Date(time).toISOString();
  const [, day, minutes, seconds] = /-(\d\d)T(\d\d:\d\d):(.+)Z/.exec(iso) ?? [];
  const clock = seconds === '00.000' ? minutes : `${minutes}:${seconds.replace('.000', '')}`;
  return day === '20' ? clock : `Nov${Number(day)}/${clock}`;
}
