import os from 'node:os';

/** Ends some work in order. What it throws is reported, and the process then ends with exit code 1. */
export type ShutdownHandler = (signal: NodeJS.Signals) => void | Promise<void>;

const SIGNALS: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];

// Module state, because signals belong to the process: whoever else listened to them would race with this.
const handlers: ShutdownHandler[] = [];
let asked = false;

/**
 * Has `handler` called on the first SIGINT or SIGTERM, those registered last first, one after the other. The process is
 * not ended here: it ends when its work does. A second signal ends it at once, with exit code 128 + the signal's number.
 * This module is the one owner of signals. Returns what takes the handler away again, for work that is done.
 */
export function onShutdown(handler: ShutdownHandler): () => void {
  if (handlers.length === 0 && !asked) for (const signal of SIGNALS) process.on(signal, handleSignal);
  handlers.push(handler);
  return () => {
    const index = handlers.indexOf(handler);
    if (index >= 0) handlers.splice(index, 1);
    // With nothing to end in order, a signal does what it does by default.
    if (handlers.length === 0 && !asked) for (const signal of SIGNALS) process.off(signal, handleSignal);
  };
}

/** The same as a signal to hand down: aborted on the first SIGINT or SIGTERM, the signal's name being the reason. */
export function shutdownSignal(): AbortSignal {
  const controller = new AbortController();
  onShutdown((signal) => controller.abort(signal));
  return controller.signal;
}

function handleSignal(signal: NodeJS.Signals): void {
  if (asked) process.exit(128 + os.constants.signals[signal]);
  asked = true;
  void runHandlers(signal);
}

async function runHandlers(signal: NodeJS.Signals): Promise<void> {
  for (const handler of [...handlers].reverse()) {
    try {
      await handler(signal);
    } catch (error) {
      process.exitCode = 1;
      process.stderr.write(`Could not shut down in order: ${error instanceof Error ? error.stack : String(error)}\n`);
    }
  }
}
