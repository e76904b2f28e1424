import type { Health } from './health.ts';
import type { MetricsSnapshot } from './metrics.ts';

/** What a process tells the one that started it, when it is asked. */
export interface Told {
  metrics: MetricsSnapshot;
  health: Health;
}

/** Over the channel between the two. */
export interface Question {
  whence: 'look';
  id: number;
}
export interface Answer extends Told {
  whence: 'seen';
  id: number;
}

/** Has a process that another started answer what that asks. Without a channel, nobody asks. */
export function answerParent(look: () => Promise<Told>): void {
  if (!process.connected) return;
  process.on('message', (message) => {
    const question = message as Partial<Question> | null;
    if (question?.whence !== 'look' || question.id === undefined) return;
    const { id } = question;
    void tell(id, look);
  });
}

async function tell(id: number, look: () => Promise<Told>): Promise<void> {
  const answer: Answer = { whence: 'seen', id, ...(await look()) };
  // The parent may be gone by now; then nobody wants to know.
  if (process.connected) process.send?.(answer, () => {});
}
