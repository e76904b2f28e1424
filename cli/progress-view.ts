import { SingleBar } from 'cli-progress';
import type { ProgressView } from './follow.ts';
import { say } from './output.ts';

export interface Shown {
  done: number;
  /** 0 while it is not known. */
  total: number;
  words: string;
}

/**
 * Shows progress on standard error: a bar on a terminal, else a line for each change.
 *
 * @param quiet shows nothing
 */
export function progressView<Progress>(
  quiet: boolean,
  describe: (progress: Progress) => Shown,
): ProgressView<Progress> {
  if (quiet) return { show() {}, stop() {} };
  if (!process.stderr.isTTY) {
    let last = '';
    return {
      show(progress) {
        const { words } = describe(progress);
        if (words !== last) say(words);
        last = words;
      },
      stop() {},
    };
  }
  const bar = new SingleBar({ format: '{bar} {words}', stream: process.stderr, hideCursor: true });
  bar.start(1, 0, { words: '' });
  return {
    show(progress) {
      const { done, total, words } = describe(progress);
      bar.setTotal(Math.max(1, total));
      bar.update(done, { words });
    },
    stop: () => bar.stop(),
  };
}
