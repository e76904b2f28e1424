import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { withEngine } from '../../batch/engine.ts';

test('a cancellation interrupts the query under way', async () => {
  const scratch = await fs.mkdtemp(path.join(os.tmpdir(), 'whence-engine-'));
  const stop = new AbortController();
  const reason = new Error('cancelled');
  // Left alone, it would count for hours.
  const work = withEngine(
    { scratch },
    async (engine) => {
      setTimeout(() => stop.abort(reason), 50);
      await engine.run(
        'select count(*) from range(1000000000) a, range(1000000000) b where hash(a.range, b.range) = 1',
      );
    },
    stop.signal,
  );
  await expect(work).rejects.toBe(reason);
  await fs.rm(scratch, { recursive: true });
});
