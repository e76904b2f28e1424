import { once } from 'node:events';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';

/** A process that shuts down as `body` says, after it has said "ready". */
function start(body: string) {
  const script = `
    import { onShutdown } from ${JSON.stringify(new URL('../../platform/shutdown.ts', import.meta.url).href)};
    const keep = setInterval(() => {}, 1000);
    ${body}
    console.log('ready');`;
  const child = execa('node', ['--import', 'tsx', '--input-type=module', '--eval', script], { reject: false });
  return { child, ready: once(child.stdout, 'data') };
}

describe('a process that was asked to end', () => {
  test('runs its handlers, the last first, and then ends by itself with success', async () => {
    const { child, ready } = start(`
      onShutdown(() => { console.log('pool closed'); clearInterval(keep); });
      onShutdown(async (signal) => { await null; console.log('stream stopped by', signal); });`);
    await ready;
    child.kill('SIGTERM');
    const { exitCode, stdout } = await child;
    expect(stdout).toBe('ready\nstream stopped by SIGTERM\npool closed');
    expect(exitCode).toBe(0);
  });

  test('ends at once, with a code that is not success, when it is asked again', async () => {
    const { child, ready } = start(
      `onShutdown(async () => { console.log('stopping'); await new Promise(() => {}); });`,
    );
    await ready;
    const stopping = once(child.stdout, 'data');
    child.kill('SIGINT');
    await stopping;
    child.kill('SIGINT');
    expect((await child).exitCode).toBe(130);
  });

  test('reports a handler that fails, runs the others, and ends with code 1', async () => {
    const { child, ready } = start(`
      onShutdown(() => clearInterval(keep));
      onShutdown(() => { throw new Error('no offsets'); });`);
    await ready;
    child.kill('SIGTERM');
    const { exitCode, stderr } = await child;
    expect(stderr).toContain('no offsets');
    expect(exitCode).toBe(1);
  });

  test('ends as by default when its work is done and its handlers are gone', async () => {
    const { child, ready } = start('onShutdown(() => {})();');
    await ready;
    child.kill('SIGTERM');
    expect((await child).signal).toBe('SIGTERM');
  });
});
