import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const docs = new URL('../../docs/', import.meta.url);
const pages = readdirSync(docs, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.md'));
const read = (page: string) => readFileSync(new URL(page, docs), 'utf8');

test.each(pages)('every link of docs/%s leads somewhere', (page) => {
  const targets = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target)
    .filter((target) => !/^(https?:|#)/.test(target));
  const missing = targets.filter((target) => !existsSync(new URL(target.replace(/#.*/, ''), new URL(page, docs))));
  expect(missing).toEqual([]);
});

test('docs/design.md lists every decision by number and title', () => {
  const records = pages.filter((page) => page.startsWith('decisions/')).sort();
  const titles = records.map((page) => /^# (\d{4})\. (.+)$/m.exec(read(page))?.slice(1));
  const listed = [...read('design.md').matchAll(/^\| \[(\d{4})\]\((.+)\) \| (.+) \|$/gm)];
  expect(listed.map(([, , page]) => page)).toEqual(records);
  expect(listed.map(([, number, , title]) => [number, title])).toEqual(titles);
});

test('code that the decisions and the design name is there', () => {
  const named = pages
    .filter((page) => page === 'design.md' || page.startsWith('decisions/'))
    .flatMap((page) => [...read(page).matchAll(/`((?:attribution|platform|cli)\/[\w/.-]+\.\w+)`/g)])
    .map(([, file]) => file);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((file) => !existsSync(new URL(`../${file}`, docs)))).toEqual([]);
});
