import { CancellationScope, isCancellation } from '@temporalio/workflow';

/**
 * Does the work of each item, so many at once, in order of their beginning. Where one fails, those that run are cancelled,
 * and the failure is thrown when they have ended.
 */
export async function inWindow<Item>(
  size: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const scope = new CancellationScope();
  await scope.run(async () => {
    let next = 0;
    const lane = async () => {
      while (next < items.length) await work(items[next++]);
    };
    const lanes = Array.from({ length: Math.min(size, items.length) }, () =>
      lane().catch((error: unknown) => {
        next = items.length;
        scope.cancel();
        throw error;
      }),
    );
    const failures = (await Promise.allSettled(lanes)).flatMap((end) =>
      end.status === 'rejected' ? [end.reason as unknown] : [],
    );
    // The others were cancelled because of one: that one says why.
    if (failures.length > 0) throw failures.find((failure) => !isCancellation(failure)) ?? failures[0];
  });
}
