import { createRequire } from 'node:module';
import path from 'node:path';

/** The folder of this package, from wherever its code runs: as it stands in tests, from a bundle otherwise. */
export const ROOT = path.dirname(createRequire(import.meta.url).resolve('#package.json'));
