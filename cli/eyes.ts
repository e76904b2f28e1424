import { Option } from 'commander';
import { Counter } from 'prom-client';
import { healthOf, type Health } from '../platform/health.ts';
import type { Logger } from '../platform/log.ts';
import { createMetrics, renderTogether, type Metrics } from '../platform/metrics.ts';
import { startMetricsServer, type MetricsServer } from '../platform/metrics-server.ts';
import { answerParent } from '../platform/parent.ts';
import type { Settings } from '../platform/settings.ts';
import type { Processes } from '../streaming/processes.ts';
import { port } from './option-values.ts';

export interface EyesOptions {
  metricsPort?: number;
}

export function metricsPortOption(): Option {
  const words = 'serve /metrics, /healthz, /readyz and /livez there; WHENCE_METRICS_PORT without it, else nowhere';
  return new Option('--metrics-port <port>', words).argParser(port);
}

/** What a command shows of itself, and of the processes that it started. */
export interface EyesSources {
  /** By which metrics tell this process from others. */
  name: string;
  metrics?: Metrics;
  /** Of this process. */
  health: () => Health;
  processes?: readonly (Processes | null)[];
}

/**
 * Shows metrics and health: over HTTP where a port is set, or, in a process that another of ours started, to that one.
 *
 * @throws MetricsPortError
 */
export async function openEyes(
  { metricsPort }: EyesOptions,
  settings: Pick<Settings, 'metricsPort'>,
  log: Logger,
  { name, health, processes = [], metrics = createMetrics() }: EyesSources,
): Promise<{ close(): Promise<void> }> {
  answerParent(async () => ({ metrics: await metrics.snapshot(), health: health() }));
  const wanted = metricsPort ?? settings.metricsPort;
  if (process.connected || wanted === null) return { close: () => Promise.resolve() };
  const children = processes.filter((each) => each !== null);
  const restarts = new Counter({
    name: 'whence_process_restarts_total',
    help: 'Processes that were started in the place of one that was killed',
    registers: [],
    collect() {
      this.reset();
      this.inc(children.reduce((sum, each) => sum + each.restarts, 0));
    },
  });
  metrics.registry.registerMetric(restarts);
  const look = () => Promise.all(children.map((each) => each.look()));
  const server: MetricsServer = await startMetricsServer(wanted, {
    async render() {
      const others = (await look()).flatMap((seen) => seen.metrics);
      return renderTogether([{ process: name, metrics: await metrics.snapshot() }, ...others]);
    },
    async health() {
      return healthOf([health(), ...(await look()).flatMap((seen) => seen.health)]);
    },
  });
  log.info({ port: server.port }, 'serving /metrics and /healthz');
  return server;
}
