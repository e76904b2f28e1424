import type { Browser, Page } from 'playwright-core';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningWorker } from '../../worker/start-worker.ts';
import { openBrowser } from './browser.ts';
import { archivedWorld, DAY, openTemporalGround, type TemporalGround } from './temporal-ground.ts';

let temporal: TemporalGround;
let worker: RunningWorker;
let browser: Browser;
let page: Page;
/** Where it is set, units wait for it before they begin. */
let gate: Promise<void> | null = null;
beforeAll(async () => {
  [temporal, browser] = await Promise.all([openTemporalGround(), openBrowser()]);
  worker = await temporal.startWorker(await archivedWorld(temporal.ground, 20, 4), {
    steps: { unit: (step) => (step === 'prepare' ? (gate ?? undefined) : undefined) },
  });
  page = await browser.newPage({ viewport: { width: 1300, height: 1500 } });
  page.setDefaultTimeout(30_000);
});
afterAll(async () => {
  await browser.close();
  await worker.stop();
  await temporal.stop();
});

/** Starts a workflow as a person does in the UI, and opens its page. */
async function startInUi(workflowType: string, workflowId: string, input: string): Promise<void> {
  await page.goto(`${temporal.uiUrl}/namespaces/default/workflows/start-workflow`);
  // The input first: when it loses the focus it is laid out, and what stands below moves.
  await page.getByLabel('Data', { exact: true }).click();
  await page.keyboard.insertText(input);
  await page.fill('#workflowId', workflowId);
  await page.fill('#taskQueue', temporal.taskQueue);
  await page.fill('#workflowType', workflowType);
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
  await startInUi('reconcileDay', 'typed', `{"day":"${DAY}"}`);
  await page.getByText('Completed').first().waitFor();
  await page.getByText('"playsChanged": 20').or(page.getByText('"playsChanged":20')).first().waitFor();
  const { rows } = await temporal.ground.pool.query('select day::text as day, plays from whence.days where covered');
  expect(rows).toEqual([{ day: DAY, plays: 20 }]);
});

test('wrong input fails at once, and the UI shows words that help', async () => {
  await startInUi('reconcileDay', 'mistyped', '{"date":"yesterday"}');
  await page.getByText('The input of reconcileDay is wrong').first().waitFor();
  expect(await page.textContent('body')).toContain('day: expected a UTC date such as');
});

test('a backfill with preview is started, read, paused, resumed and approved in Temporal’s UI alone', async () => {
  let open = () => {};
  gate = new Promise((resolve) => (open = resolve));
  try {
    await startInUi('backfill', 'previewed', '{"from":"2025-11-25","to":"2025-11-27","preview":true,"parallel":1}');
    await readDetails('computing 2025-11-25 to 2025-11-27', '0 of 3 computed');
    await send('signal', 'pause');
  } finally {
    open();
  }
  // What was at work ends, and no more begins.
  await readDetails('paused 2025-11-25 to 2025-11-27', '1 of 3 computed');
  await send('signal', 'resume');
  await readDetails('awaiting approval 2025-11-25 to 2025-11-27', '60 plays would change', 'nothing was committed yet');
  await send('update', 'approve', '{"actor":"ann"}');
  await page.getByText('Completed').first().waitFor();
  await readDetails('done 2025-11-25 to 2025-11-27', '3 done, 0 left, 0 failed', 'approved by ann');
  const { rows } = await temporal.ground.pool.query('select approved_by, status from whence.backfills');
  expect(rows).toEqual([{ approved_by: 'ann', status: 'completed' }]);
});

/**
 * Reads the workflow's details, from a page that is loaded anew each time, until they say all of this. The page's own refresh
 * leaves a request behind that waits for news: after some of them the browser has no connection left for the next.
 */
async function readDetails(...words: string[]): Promise<void> {
  const missing = async () => {
    await page.reload();
    await page.getByRole('tab', { name: 'User Metadata' }).click();
    // They are laid out in a frame of their own, a little later.
    await sleep(500);
    const texts = await Promise.all(page.frames().map((frame) => frame.textContent('body').catch(() => '')));
    const text = texts.join(' ').replaceAll(/\s+/g, ' ');
    return words.filter((each) => !text.includes(each));
  };
  await expect.poll(missing, { timeout: 90_000, interval: 500 }).toEqual([]);
}

/** Sends a signal or an update with the form that the UI has for it. */
async function send(kind: 'signal' | 'update', name: string, input?: string): Promise<void> {
  await page.getByRole('button', { name: 'More Actions' }).click();
  const item = kind === 'signal' ? 'Send a Signal' : 'Send an Update';
  await page.getByRole('menuitem', { name: item }).click();
  const form = page.getByRole('dialog').filter({ hasText: item });
  await form.getByTestId(`${kind}-select-button`).click();
  await form.getByRole('option', { name }).click();
  if (input !== undefined) {
    await form.getByLabel('Data', { exact: true }).click();
    await page.keyboard.insertText(input);
  }
  await form.getByTestId('confirm-modal-button').click();
  await form.waitFor({ state: 'hidden' });
}
