import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningWorker } from '../../worker/start-worker.ts';
import { openBrowser } from './browser.ts';
import { archivedWorld, DAY, openTemporalGround, type TemporalGround } from './temporal-ground.ts';

let temporal: TemporalGround;
let worker: RunningWorker;
let browser: Browser;
let page: Page;
beforeAll(async () => {
  [temporal, browser] = await Promise.all([openTemporalGround(), openBrowser()]);
  worker = await temporal.startWorker(await archivedWorld(temporal.ground));
  page = await browser.newPage({ viewport: { width: 1300, height: 1500 } });
  page.setDefaultTimeout(30_000);
});
afterAll(async () => {
  await browser.close();
  await worker.stop();
  await temporal.stop();
});

/** Starts a workflow as a person does in the UI, and opens its page. */
async function startInUi(workflowId: string, input: string): Promise<void> {
  await page.goto(`${temporal.uiUrl}/namespaces/default/workflows/start-workflow`);
  // The input first: when it loses the focus it is laid out, and what stands below moves.
  await page.getByLabel('Data', { exact: true }).click();
  await page.keyboard.insertText(input);
  await page.fill('#workflowId', workflowId);
  await page.fill('#taskQueue', temporal.taskQueue);
  await page.fill('#workflowType', 'reconcileDay');
  await page.getByTestId('start-workflow-button').click();
  const { client } = temporal;
  await expect
    .poll(() =>
      client.workflow
        .getHandle(workflowId)
        .describe()
        .catch(() => null),
    )
    .not.toBeNull();
  await page.goto(`${temporal.uiUrl}/namespaces/default/workflows/${workflowId}`);
}

test('a day is reconciled by typing its JSON in Temporal’s UI, which shows the outcome', async () => {
  await startInUi('typed', `{"day":"${DAY}"}`);
  await page.getByText('Completed').first().waitFor();
  await page.getByText('"playsChanged": 20').or(page.getByText('"playsChanged":20')).first().waitFor();
  const { rows } = await temporal.ground.pool.query('select day::text as day, plays from whence.days where covered');
  expect(rows).toEqual([{ day: DAY, plays: 20 }]);
});

test('wrong input fails at once, and the UI shows words that help', async () => {
  await startInUi('mistyped', '{"date":"yesterday"}');
  await page.getByText('The input of reconcileDay is wrong').first().waitFor();
  expect(await page.textContent('body')).toContain('day: expected a UTC date such as');
});
