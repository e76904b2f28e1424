import { SingleBar } from 'cli-progress';
import type { Progress } from '../send/send.ts';
import { grouped, say } from './output.ts';

const SAY_EVERY_MS = 5_000;

/**
 * Shows how far sending is: a bar on a terminal, else a line every few seconds.
 *
 * @param bytes how much there is to read; NaN where nobody knows
 */
export function startProgress(bytes: number): { update: (progress: Progress) => void; stop: () => void } {
  const started = performance.now();
  let now: Progress = { bytesRead: 0, lines: 0 };
  const rate = () => `${grouped(Math.round((now.lines / (performance.now() - started)) * 1000))}/s`;
  const share = () => (Number.isNaN(bytes) ? '' : `, ${Math.floor((now.bytesRead / Math.max(bytes, 1)) * 100)}%`);
  if (!process.stderr.isTTY) {
    const timer = setInterval(() => say(`sent ${grouped(now.lines)} lines, ${rate()}${share()}`), SAY_EVERY_MS);
    timer.unref();
    return { update: (progress) => void (now = progress), stop: () => clearInterval(timer) };
  }
  const format = Number.isNaN(bytes)
    ? 'sending {lines} lines · {rate}'
    : 'sending {bar} {percentage}% · {lines} lines · {rate}';
  const bar = new SingleBar({ format, stream: process.stderr, hideCursor: true });
  bar.start(Number.isNaN(bytes) ? 1 : bytes, 0, { lines: 0, rate: '' });
  return {
    update(progress) {
      now = progress;
      bar.update(Number.isNaN(bytes) ? 0 : progress.bytesRead, { lines: grouped(progress.lines), rate: rate() });
    },
    stop: () => bar.stop(),
  };
}
