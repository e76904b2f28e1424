import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Health } from './health.ts';

/** What a process lets others see of it. */
export interface Eyes {
  /** Prometheus's text format. */
  render(): Promise<string>;
  health(): Promise<Health>;
}

export interface MetricsServer {
  port: number;
  close(): Promise<void>;
}

/** The port for the metrics cannot be listened on. */
export class MetricsPortError extends Error {
  override readonly name = 'MetricsPortError';
  constructor(port: number, cause: Error) {
    super(
      `Cannot listen on port ${port} for metrics (${cause.message}); choose another with --metrics-port or ` +
        `WHENCE_METRICS_PORT`,
      { cause },
    );
  }
}

const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Listens on all interfaces, port 0 being any that is free.
 *
 * @throws MetricsPortError
 */
export async function startMetricsServer(port: number, eyes: Eyes): Promise<MetricsServer> {
  const server = http.createServer((request, response) => void answer(eyes, request, response));
  try {
    server.listen(port);
    await once(server, 'listening');
  } catch (error) {
    throw new MetricsPortError(port, error as Error);
  }
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close').catch(() => {});
    },
  };
}

/**
 * `/metrics`; `/healthz` is 503 where there is work and no progress, `/readyz` where work has not begun, `/livez` never: it answers as
 * long as the process does. Whoever has a server already has its unknown paths answered by this.
 */
export async function answer(eyes: Eyes, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://here').pathname;
  try {
    if (path === '/metrics') {
      const text = await eyes.render();
      response.writeHead(200, { 'content-type': TEXT_FORMAT }).end(text);
      return;
    }
    const health = path === '/livez' ? null : await eyes.health();
    if (path === '/livez') sendJson(response, 200, { live: true });
    else if (path === '/healthz') sendJson(response, health?.healthy === true ? 200 : 503, health);
    else if (path === '/readyz') sendJson(response, health?.ready === true ? 200 : 503, health);
    else sendJson(response, 404, { paths: ['/metrics', '/healthz', '/readyz', '/livez'] });
  } catch (error) {
    sendJson(response, 500, { error: error instanceof Error ? error.message : String(error) });
  }
}

function sendJson(response: http.ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
}
