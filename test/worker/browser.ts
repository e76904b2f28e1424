/** A real browser: one that is installed, or else Debian's Chromium, installed now. */

import fs from 'node:fs';
import { execa } from 'execa';
import { type Browser, chromium } from 'playwright-core';

const INSTALLED = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** It looks for nothing beyond this machine. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: findBrowser() ?? (await installChromium()), args: FLAGS });
}

function findBrowser(): string | undefined {
  return [process.env['CHROMIUM_PATH'], ...INSTALLED].find((path) => path !== undefined && fs.existsSync(path));
}

async function installChromium(): Promise<string> {
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await execa('apt-get', ['update'], { env: environment });
    await execa('apt-get', ['install', '--yes', '--no-install-recommends', 'chromium'], { env: environment });
  } catch (error) {
    throw new Error('This test needs Chromium or Chrome; install it, or name its program in CHROMIUM_PATH', {
      cause: error,
    });
  }
  return INSTALLED[0];
}
