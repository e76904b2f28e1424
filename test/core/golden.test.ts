import { describe, expect, test } from 'vitest';
import { compareToGolden, loadGolden, logOf } from '../oracle/golden.ts';
import { CoreReader, coreAnswer } from './core-answer.ts';

for (const { file, cases } of loadGolden()) {
  describe(`the core meets ${file}`, () => {
    test.each(cases)('$name', (golden) => {
      expect(compareToGolden(coreAnswer(logOf(golden), golden.mode), golden)).toEqual([]);
    });
    test.each(cases)('$name, one record at a time', (golden) => {
      const log = logOf(golden);
      const reader = new CoreReader(log, golden.mode);
      for (const record of log) reader.read([record]);
      expect(compareToGolden(reader.answer(), golden)).toEqual([]);
    });
  });
}
