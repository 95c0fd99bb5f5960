import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { EmulatedFleet } from '../bench/emulated-fleet.ts';
import { emulatedId } from '../bench/emulated-orders.ts';
import { rsaKey } from '../rsa-keys.ts';

// The nodes of `npm run bench:fleet`, few of them.
const COUNT = 20;
const LIMIT_MS = 30_000;
const Row = z.object({ target: z.string(), node: z.string(), code: z.int(), data: z.object({ exitCode: z.int() }) });
const fleet = new EmulatedFleet(COUNT);
const ids = Array.from({ length: COUNT }, (_, i) => emulatedId(i));

beforeAll(async () => {
  // The router's own would take as long to make as the rest of its start.
  const keys = path.join(fleet.daemon.folder, 'var/keys');
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  writeFileSync(path.join(keys, 'router.pem'), rsaKey(), { mode: 0o600 });
  await fleet.start();
  fleet.connect();
  await fleet.whenUp(LIMIT_MS);
});
afterAll(() => fleet.dispose());

test('emulated nodes run a command sent to all of them, and stream their logs', async () => {
  const { code, stdout } = await fleet.daemon.cli('call', 'COMMAND', 'command=true', '--target', 'all', '--json');
  expect(code).toBe(0);
  const lines = stdout.trim().split('\n');
  const rows = lines.map((line) => Row.parse(JSON.parse(line)));
  expect(rows.every((row) => row.code === 2 && row.target === row.node)).toBe(true);
  expect(rows.map(({ node }) => node).sort()).toEqual(ids);
  const { rows: written, lagsMs } = await fleet.write(1);
  expect([written, lagsMs.length]).toEqual([COUNT, COUNT]);
});

test('emulated nodes come back to a router that was killed', async () => {
  await fleet.daemon.end('SIGKILL');
  await fleet.daemon.start();
  await fleet.whenUp(LIMIT_MS);
  expect(fleet.registered).toBe(COUNT);
});
