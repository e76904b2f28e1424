import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import getPort from 'get-port';
import { PortTakenError } from './errors.ts';

// Below the ports that the kernel gives to outgoing connections: nobody takes one of these by accident between our look
// and the bind of the service.
const LOWEST = 15_000;
const HIGHEST = 32_000;

/** A free port on 127.0.0.1, other than what this process was given before. */
export async function freePort(): Promise<number> {
  const candidates = Array.from({ length: 50 }, () => LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST)));
  return getPort({ host: '127.0.0.1', port: candidates });
}

/**
 * The port asked for, if it is free; any free one for 0.
 *
 * @throws PortTakenError which names the port and the option that chooses another
 */
export async function claimPort(service: string, port: number, option: string): Promise<number> {
  if (port === 0) return freePort();
  if (await isTaken(port)) throw new PortTakenError(service, port, option);
  return port;
}

/** Waits until nothing holds the port, at most so long: the children of a killed server may, for a moment. */
export async function waitUntilFree(port: number, boundMs: number): Promise<void> {
  for (const deadline = Date.now() + boundMs; (await isTaken(port)) && Date.now() < deadline;) await sleep(50);
}

async function isTaken(port: number): Promise<boolean> {
  // Some systems let us bind 127.0.0.1 while another program listens on all interfaces.
  if (await accepts(port)) return true;
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(true));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(false)));
  });
}

/** Whether something accepts connections there. */
export async function accepts(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host, timeout: 1_000 });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });
}
