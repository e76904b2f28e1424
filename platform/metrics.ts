import {
  AggregatorRegistry,
  collectDefaultMetrics,
  Gauge,
  Registry,
  type GaugeConfiguration,
  type MetricObjectWithValues,
  type MetricValue,
} from 'prom-client';

export interface Metrics {
  /** Where counters, gauges and histograms are registered: `new Counter({ …, registers: [metrics.registry] })`. */
  readonly registry: Registry;
  readonly contentType: string;
  /** All metrics in Prometheus's text format. */
  render(): Promise<string>;
  /** All metrics as values, which another process can merge with its own. */
  snapshot(): Promise<MetricsSnapshot>;
}

/** What the metrics of one process were at one moment, as JSON. */
export type MetricsSnapshot = MetricObjectWithValues<MetricValue<string>>[];

/** Metrics of prom-client's whose names break Prometheus's own rules: gauges that end in `_total`. */
const MISNAMED = ['nodejs_active_resources_total', 'nodejs_active_handles_total', 'nodejs_active_requests_total'];

/**
 * A registry of its own for each process (or test), never prom-client's global one. It has the metrics of the Node process
 * (CPU, memory, event loop) unless `ofProcess` is false.
 */
export function createMetrics({ ofProcess = true }: { ofProcess?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (ofProcess) collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  return {
    registry,
    contentType: registry.contentType,
    render: () => registry.metrics(),
    snapshot: () => registry.getMetricsAsJSON(),
  };
}

/** Sets a value of a gauge that is being looked at. */
export type ShowValue<Label extends string> = (labels: Partial<Record<Label, string | number>>, value: number) => void;

/** A gauge whose values are looked at when someone asks for them; what it showed before is gone. */
export function addGauge<Label extends string>(
  registry: Registry,
  configuration: Pick<GaugeConfiguration<Label>, 'name' | 'help' | 'labelNames' | 'aggregator'>,
  look: (show: ShowValue<Label>) => void,
): void {
  const gauge = new Gauge<Label>({
    ...configuration,
    registers: [],
    collect() {
      this.reset();
      look((labels, value) => this.set(labels, value));
    },
  });
  registry.registerMetric(gauge);
}

/** Shows which parts of this process wait for a server, whenever it is asked: the name of each is a label. */
export function showWaiting(registry: Registry, waiting: () => readonly string[]): void {
  const help =
    '1 for each part of a process that waits for a server that is away or slow: Kafka, a task, a topic-partition';
  addGauge(registry, { name: 'whence_waiting', help, labelNames: ['part'] }, (show) => {
    for (const part of waiting()) show({ part }, 1);
  });
}

/** The snapshot of a process, and the name by which its own figures (memory, CPU) are told from those of others. */
export interface ProcessSnapshot {
  process: string;
  metrics: MetricsSnapshot;
}

/**
 * The metrics of several processes in Prometheus's text format: ours are added up, those of the Node processes carry the
 * label `process`.
 */
export function renderTogether(snapshots: readonly ProcessSnapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate(snapshots.map(labelled)).metrics();
}

/** What stays of processes that are gone: counters and histograms of ours, so that no sum ever falls. */
export function addDeparted(departed: MetricsSnapshot, gone: MetricsSnapshot): Promise<MetricsSnapshot> {
  const staying = gone.filter(({ name, type }) => isOurs(name) && !['gauge', 'summary'].includes(String(type)));
  return AggregatorRegistry.aggregate([departed, staying]).getMetricsAsJSON();
}

function labelled({ process, metrics }: ProcessSnapshot): MetricsSnapshot {
  return metrics.map((metric) => {
    if (isOurs(metric.name)) return metric;
    // What is no number (the lag of a loop that was not measured yet) is null after its way through JSON.
    const known = metric.values.filter(({ value }) => Number.isFinite(value));
    const values = known.map((value) => ({ ...value, labels: { ...value.labels, process } }));
    return { ...metric, values, aggregator: 'sum' };
  });
}

function isOurs(name: string): boolean {
  return name.startsWith('whence_');
}
