import type { Connection } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * By which workflows are found in Temporal, with their types as its API numbers them, and as its command calls these.
 * workflows/found-by.ts says what is in them.
 */
const ATTRIBUTES = {
  WhenceKind: { type: 2, word: 'Keyword' },
  WhenceDay: { type: 7, word: 'KeywordList' },
} as const;

/** A server takes some seconds to heed what was added. */
const HEEDED_WITHIN_MS = 20_000;

/**
 * Makes the search attributes of whence where the namespace has none. They are a convenience: where the server forbids it, all works
 * without them.
 *
 * @returns why there are none, in words that say what to do; null where they are there
 */
export async function provideSearchAttributes(
  { operatorService, workflowService }: Pick<Connection | NativeConnection, 'operatorService' | 'workflowService'>,
  namespace: string,
): Promise<string | null> {
  const names = Object.keys(ATTRIBUTES) as (keyof typeof ATTRIBUTES)[];
  try {
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    const wrong = names.find((name) => {
      const found = customAttributes?.[name] as number | undefined;
      return found !== undefined && found !== ATTRIBUTES[name].type;
    });
    if (wrong !== undefined) {
      return `the search attribute ${wrong} is there, and is no ${ATTRIBUTES[wrong].word}: workflows are not found by it`;
    }
    const missing = names.filter((name) => customAttributes?.[name] == null);
    if (missing.length === 0) return null;
    const searchAttributes = Object.fromEntries(missing.map((name) => [name, ATTRIBUTES[name].type]));
    await operatorService.addSearchAttributes({ namespace, searchAttributes });
  } catch (error) {
    // Somebody else was at it.
    if (!/already exists/i.test(messageOf(error))) {
      const commands = names.map((name) => `--name ${name} --type ${ATTRIBUTES[name].word}`).join(' ');
      return (
        `search attributes could not be added (${messageOf(error)}): workflows run, and are not found by day and kind. ` +
        `Whoever may can add them: temporal operator search-attribute create ${commands}`
      );
    }
  }
  const until = Date.now() + HEEDED_WITHIN_MS;
  for (;;) {
    try {
      await workflowService.countWorkflowExecutions({
        namespace,
        query: names.map((name) => `${name} = 'x'`).join(' or '),
      });
      return null;
    } catch (error) {
      if (Date.now() > until) return `search attributes were added, and are not heeded yet (${messageOf(error)})`;
      await sleep(500);
    }
  }
}

/** Whether the namespace has the search attributes of whence, as they should be; false where the server does not say. */
export async function hasSearchAttributes(
  { operatorService }: Pick<Connection | NativeConnection, 'operatorService'>,
  namespace: string,
): Promise<boolean> {
  try {
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    return Object.entries(ATTRIBUTES).every(
      ([name, { type }]) => (customAttributes?.[name] as number | undefined) === type,
    );
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'details' in error && typeof error.details === 'string') {
    return error.details;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Whether a workflow was refused because the namespace has no such search attributes. */
export function lacksSearchAttributes(error: unknown): boolean {
  for (let reason = error; reason instanceof Error; reason = reason.cause) {
    if (/search attribute/i.test(messageOf(reason))) return true;
  }
  return false;
}
