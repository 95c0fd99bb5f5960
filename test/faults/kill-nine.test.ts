import { connect } from '@centreond/plugin-sdk/client';
import { afterEach, expect, test } from 'vitest';
import { type DaemonProcess, until } from '../daemon-process.ts';
import { storedRows, violationsOf } from '../history/checker.ts';
import { Recorder } from '../history/recorder.ts';
import { daemonWithLedger, processesOf, runs, seeded, seedOfRun } from './ledger.ts';

const KILLS = process.env.LONG ? 40 : 5;

let daemon: DaemonProcess | undefined;
afterEach(async () => daemon?.dispose());

const seed = seedOfRun();
test(`killed with -9 at any moment of a stream, what was acknowledged ends once and runs once (SEED=${seed})`, async () => {
  const random = seeded(seed);
  daemon = daemonWithLedger();
  const alice = daemon.client('alice');
  await daemon.start();
  const client = await connect(daemon.door(alice));
  const recorder = new Recorder();
  let going = true;
  const stream = Array.from({ length: 50 }, async (_, lane) => {
    for (let i = 0; going; i++) {
      const token = `once-${lane}-${i}`;
      await recorder.send(client, 'ONCE', { ms: Math.floor(random() * 20) }, { token, once: true });
    }
  });
  for (let kill = 0; kill < KILLS; kill++) {
    const before = recorder.acknowledged.size;
    await until('requests flow again', () => recorder.acknowledged.size > before + 20, 20_000);
    await new Promise((resolve) => setTimeout(resolve, random() * 300));
    await daemon.end('SIGKILL');
    await until('no process is left behind', () => processesOf(daemon as DaemonProcess).length === 0, 15_000);
    await daemon.start();
  }
  going = false;
  await Promise.all(stream);
  await client.close();
  expect(await daemon.end('SIGTERM')).toBe(0);

  const rows = storedRows(daemon.database, 'once-');
  expect(violationsOf({ events: recorder.events, rows, runs: runs(daemon) })).toEqual([]);
  expect(recorder.acknowledged.size).toBeGreaterThan(KILLS * 20);
});

test('an idempotent action runs again after the daemon was killed, and its request finishes', async () => {
  daemon = daemonWithLedger();
  const alice = daemon.client('alice');
  await daemon.start();
  const client = await connect(daemon.door(alice));
  await client.send('AGAIN', { ms: 60_000, note: 'first run' }, { token: 'again' }).catch(() => {});
  const short = client.call('AGAIN', { ms: 300 }, { token: 'short' });
  await until('both run', () => runs(daemon as DaemonProcess).size === 2);
  await daemon.end('SIGKILL');
  await daemon.start();
  expect((await short).ok).toBe(true);
  expect(runs(daemon).get('short')).toBe(2);
  await client.close();
});

test('a request whose outcome nobody knows says so after the daemon was killed', async () => {
  daemon = daemonWithLedger();
  const alice = daemon.client('alice');
  await daemon.start();
  const client = await connect(daemon.door(alice));
  const call = client.call('ONCE', { ms: 60_000 }, { token: 'once' });
  await until('it runs', () => runs(daemon as DaemonProcess).has('once'));
  await daemon.end('SIGKILL');
  await daemon.start();
  const outcome = await call;
  expect(outcome).toMatchObject({ ok: false, data: { error: 'OUTCOME_UNKNOWN' } });
  expect(runs(daemon).get('once')).toBe(1);
  await client.close();
});
