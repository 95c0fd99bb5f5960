import { execFileSync, spawnSync } from 'node:child_process';
import { connect } from '@centreond/client';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, until } from '../daemon-process.ts';
import { PROBE } from '../fleet/machine.ts';
import { seeded, seedOfRun } from './ledger.ts';

const prlimit = spawnSync('prlimit', ['--version']).status === 0;
const WRITERS = 3;
const ROWS = 20_000;
const FAULTS = process.env.LONG ? 30 : 6;
const seed = seedOfRun();

test.skipIf(!prlimit)(
  `a disk that is full for a while, ${FAULTS} times, holds rows up: none is lost, and each request keeps their order (SEED=${seed})`,
  { timeout: 300_000 },
  async () => {
    const random = seeded(seed);
    const daemon = new DaemonProcess({ plugins: [{ package: PROBE }] });
    onTestFinished(() => daemon.dispose());
    await daemon.start();
    const client = await connect({ address: daemon.socket });
    onTestFinished(() => client.close());
    const limit = (bytes: number | 'unlimited') =>
      execFileSync('prlimit', ['--pid', String(daemon.pid), `--fsize=${bytes}:unlimited`]);
    const counters = async () =>
      (await client.send('INFORMATION')).data.counters as { store: { failures: number; rows: number } };

    const tokens: string[] = [];
    for (let fault = 0; fault < FAULTS; fault++) {
      const calls = Array.from({ length: WRITERS }, (_, i) => {
        const token = `${fault}-${i}`;
        tokens.push(token);
        return client.call('STEPS', { rows: ROWS }, { token });
      });
      const before = (await counters()).store;
      await until('they write', async () => (await counters()).store.rows > before.rows + 1000);
      // Nothing may be written from here on, not even where a file is already: as on a full disk.
      limit(1);
      await until('the disk is full', async () => (await counters()).store.failures > before.failures);
      await new Promise((resolve) => setTimeout(resolve, random() * 1500));
      limit('unlimited');
      for (const outcome of await Promise.all(calls)) expect(outcome.ok).toBe(true);
    }

    const db = new Database(daemon.database, { readonly: true });
    onTestFinished(() => void db.close());
    const steps = db.prepare("SELECT data ->> 'step' FROM centreond_history WHERE token = ? AND code = 50 ORDER BY id");
    const codes = db.prepare<[string], number>('SELECT code FROM centreond_history WHERE token = ? ORDER BY id');
    const all = Array.from({ length: ROWS }, (_, i) => i + 1);
    for (const token of tokens) {
      expect(steps.pluck().all(token)).toEqual(all);
      const written = codes.pluck().all(token);
      expect([written[0], written.at(-1), written.length]).toEqual([0, 2, ROWS + 2]);
    }
  },
);
