import { expect, test } from 'vitest';
import { connectTemporal, connectWorkerTransport, TemporalUnavailableError } from '../../platform/temporal.ts';

const options = { address: '127.0.0.1:1', namespace: 'default', tls: {}, apiKey: 'hunter22', connectTimeoutMs: 500 };

// That it connects where there is a server, the test of the local stack shows.
test.each([
  ['client', connectTemporal],
  ['worker', connectWorkerTransport],
])('a %s that finds no Temporal names address and namespace, and not the API key', async (_, connect) => {
  const attempt = connect(options);
  await expect(attempt).rejects.toThrow(TemporalUnavailableError);
  await expect(attempt).rejects.toThrow('Temporal at 127.0.0.1:1, namespace "default", cannot be used');
  await expect(attempt).rejects.not.toThrow('hunter22');
});
