import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from '@centreond/client';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, HighestMemory, ROOT, until } from '../daemon-process.ts';
import type { Followed, Following } from './follower.ts';
import { MIB, pause, print } from './siege.ts';

const FOLLOWER = path.join(ROOT, 'test/faults/follower.ts');
const ROW_BYTES = 256 * 1024;
const WARM = 400;
const ROWS = (300 * MIB) / ROW_BYTES;

test('a follower that stops reading while 300 MiB of rows are made takes no memory, and has all of them in the end', async () => {
  const daemon = new DaemonProcess({ plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }] });
  onTestFinished(() => daemon.dispose());
  const [alice, bob] = [daemon.client('alice'), daemon.client('bob', ['admin'])];
  await daemon.start();
  const writer = await connect({ ...daemon.door(alice), timeoutMs: 30_000 });
  onTestFinished(() => writer.close());
  let step = 0;
  const write = async (rows: number) => {
    for (let i = 0; i < rows; i++) {
      const data = { step: step++, text: 'x'.repeat(ROW_BYTES) };
      await writer.send('PUTLOG', { token: 'big', code: 50, data });
    }
  };
  const order: Following = { door: daemon.door(bob), token: 'big', rows: WARM + ROWS };
  const child = spawn(process.execPath, [FOLLOWER, JSON.stringify(order)], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const said: unknown[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => said.push(JSON.parse(line)));
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await write(WARM);
  await until('it follows', () => said.length === 1);
  const memory = new HighestMemory(daemon.pid);
  const before = memory.bytes;
  child.kill('SIGSTOP');
  await write(ROWS);
  const written = memory.bytes;
  child.kill('SIGCONT');
  await Promise.race([exited, pause(120_000)]);
  memory.stop();
  const [, followed] = said as [string, Followed];
  print({
    before: before / MIB,
    whileStopped: (written - before) / MIB,
    afterwards: (memory.bytes - before) / MIB,
    followed,
  });
  expect(followed).toEqual({ rows: WARM + ROWS, bytes: (WARM + ROWS) * ROW_BYTES, isOrdered: true });
  expect(written - before).toBeLessThan(64 * MIB);
  // Then it catches up: pages of the history pass, which are garbage at once.
  expect(memory.bytes - before).toBeLessThan(160 * MIB);
});
