/**
 * Chaos from many seeds: `npx tsx bench/chaos.ts [seeds] [first] [faults beyond one of each]`, a line a seed. Ends with 1
 * where a seed fails; its line says how, and the same seed brings the same faults in the same order again.
 */

import { storm } from '../test/streaming/storm.ts';
import { startStack } from '../test/streaming/world.ts';

const [seeds, first, more] = [20, 1, 4].map((usual, i) => Number(process.argv[2 + i] ?? usual));

const stack = await startStack();
let failed = 0;
try {
  for (let seed = first; seed < first + seeds; seed++) {
    const begun = Date.now();
    const took = () => `${((Date.now() - begun) / 1_000).toFixed(0)} s`;
    try {
      const faults = await storm(stack, seed, more);
      console.log(`seed ${seed}: equal and balanced after ${faults.join(', ')}; ${took()}`);
    } catch (error) {
      failed++;
      console.log(`seed ${seed}: FAILED, ${error instanceof Error ? error.message : String(error)}; ${took()}`);
    }
  }
} finally {
  await stack.stop();
}
// kafkajs can keep a process alive that left its group.
process.exit(failed > 0 ? 1 : 0);
