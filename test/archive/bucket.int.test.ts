import { execa } from 'execa';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ArchiveStep } from '../../streaming/archiver-commit.ts';
import { simulated, startStack, World } from '../streaming/world.ts';
import { isMissing, StorageGround } from '../storages.ts';
import { archiveAll, expectArchived } from './archive-world.ts';

const CRASHING = fileURLToPath(new URL('crashing-archiver.ts', import.meta.url));
const STEPS: ArchiveStep[] = ['published', 'fenced', 'committed'];

describe.skipIf(isMissing('bucket'))('the archive in a bucket', () => {
  let stack: Awaited<ReturnType<typeof startStack>>;
  let ground: StorageGround;
  beforeAll(async () => {
    [stack, ground] = await Promise.all([startStack(), StorageGround.open('bucket')]);
  });
  afterAll(() => Promise.all([stack.stop(), ground.stop()]));

  test('has every valid record once, killed −9 after a file was put, inside and after its commit', async () => {
    const world = await World.create(stack, 'bucket', 2);
    Object.assign(world.env, await ground.env());
    const { lines } = simulated(40, 2, 51);
    const pieces = STEPS.length + 1;
    for (let i = 0; i < pieces; i++) {
      const from = Math.floor((lines.length * i) / pieces);
      await world.publish(lines.slice(from, Math.floor((lines.length * (i + 1)) / pieces)));
      if (i === STEPS.length) break;
      const { stdout } = await execa(process.execPath, ['--import', 'tsx', CRASHING, 'SIGKILL', STEPS[i], '1'], {
        env: world.env,
        reject: false,
      });
      expect(stdout).toBe(`SIGKILL at: ${STEPS[i]}`);
    }
    await archiveAll(world, { roll: { rows: 1_000 } });
    await expectArchived(world);
    await world.end();
  });
});
