import { createRequire } from 'node:module';

interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests: (this: RequestQueue) => void;
}

const require = createRequire(import.meta.url);
let installed = false;

/**
 * Has kafkajs look for waiting requests only while some wait. It looks every millisecond on each connection otherwise, as
 * long as that lives, which costs an idle process of a few connections a twentieth of a core
 * (https://github.com/tulios/kafkajs/issues/1704).
 */
export function installRequestQueue(): void {
  if (installed) return;
  installed = true;
  const queues = (require('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }).prototype;
  const { scheduleCheckPendingRequests } = queues;
  queues.scheduleCheckPendingRequests = function () {
    // Whatever begins to wait comes here, too.
    if (this.pending.length > 0) scheduleCheckPendingRequests.call(this);
  };
}
