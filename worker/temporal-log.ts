import { DefaultLogger, makeTelemetryFilterString, Runtime, type Logger as TemporalLogger } from '@temporalio/worker';
import type { Logger } from '../platform/log.ts';

const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;

/** What Temporal's SDK has to say, in our log. */
export function temporalLogger(log: Logger): TemporalLogger {
  return new DefaultLogger('TRACE', ({ level, message, meta }) => {
    // The SDK is chatty at its info level: every start and end of an activity.
    const ours = level === 'INFO' ? 'debug' : LEVELS[level];
    log[ours](meta ?? {}, message);
  });
}

/** Sets the one runtime of the process up: its log is ours, and signals stay with their owner. To be called once, first. */
export function installRuntime(log: Logger): void {
  Runtime.install({
    logger: temporalLogger(log),
    shutdownSignals: [],
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN' }) } },
  });
}
