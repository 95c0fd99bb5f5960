import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Debian's Chromium; undefined where it is not installed. */
export const CHROMIUM = ['/usr/bin/chromium', '/usr/lib/chromium/chromium'].find((file) => existsSync(file));
export const NO_CHROMIUM = CHROMIUM === undefined ? ' (skipped: apt-get install chromium)' : '';

/** A real browser without a window. */
export function openBrowser(): Promise<Browser> {
  if (CHROMIUM === undefined) throw new Error('Chromium is not installed: apt-get install chromium');
  // Root may not use its sandbox.
  return chromium.launch({ executablePath: CHROMIUM, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}
