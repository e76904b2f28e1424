import { collectDefaultMetrics, Registry } from 'prom-client';

export interface Metrics {
  /** Where counters, gauges and histograms are registered: `new Counter({ …, registers: [metrics.registry] })`. */
  readonly registry: Registry;
  readonly contentType: string;
  /** All metrics in Prometheus's text format. */
  render(): Promise<string>;
}

/**
 * A registry of its own for each process (or test), never prom-client's global one. It has the metrics of the Node process
 * (CPU, memory, event loop) unless `ofProcess` is false.
 */
export function createMetrics({ ofProcess = true }: { ofProcess?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (ofProcess) collectDefaultMetrics({ register: registry });
  return { registry, contentType: registry.contentType, render: () => registry.metrics() };
}
