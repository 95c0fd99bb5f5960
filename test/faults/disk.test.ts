import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, test } from 'vitest';
import { type DaemonProcess, until } from '../daemon-process.ts';
import { storedRows, violationsOf } from '../history/checker.ts';
import { daemonWithLedger, expectSound, runs, seeded, seedOfRun } from './ledger.ts';
import { Stream } from './stream.ts';

const strace = spawnSync('strace', ['-V']).status === 0;
const ROUNDS = process.env.LONG ? 12 : 2;
const LANES = 20;
const seed = seedOfRun();

let daemon: DaemonProcess | undefined;
afterEach(async () => daemon?.dispose());

/** The writing thread of a daemon. */
function writerOf({ pid }: DaemonProcess): number {
  const tasks = `/proc/${pid}/task`;
  const found = readdirSync(tasks).find((tid) => /^store-writer/.test(readFileSync(`${tasks}/${tid}/comm`, 'utf8')));
  if (!found) throw new Error(`${pid} has no thread store-writer`);
  return Number(found);
}

const traceOf = ({ folder }: DaemonProcess) => path.join(folder, 'trace');

/** Lets calls of the writing thread on one file fail, until the tracer ends. */
async function failing(
  who: DaemonProcess,
  call: string,
  error: string,
  when: string,
  file: string,
): Promise<ChildProcess> {
  const inject = `inject=${call}:error=${error}:when=${when}`;
  const args = ['-p', String(writerOf(who)), '-e', `trace=${call}`, '-e', inject, '-P', file];
  const tracer = spawn('strace', [...args, '-o', traceOf(who)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  tracer.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until('strace is attached', () => said.includes('attached') || tracer.exitCode !== null);
  if (tracer.exitCode !== null) throw new Error(said);
  return tracer;
}

async function detached(tracer: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => tracer.once('close', resolve));
  tracer.kill('SIGINT');
  await gone;
}

/** What must hold whatever the disk did: of each request it is known whether it was taken, and it was then done. */
async function expectNothingLost(who: DaemonProcess, { recorder }: Stream): Promise<void> {
  expect(await who.end('SIGTERM')).toBe(0);
  const { events, refusals } = recorder;
  expect([...refusals.keys()].filter((code) => code !== 'STORE_FAILED')).toEqual([]);
  expect(violationsOf({ events, rows: storedRows(who.database, 'disk-'), runs: runs(who) })).toEqual([]);
  expectSound(who.database);
}

async function streaming(): Promise<{ who: DaemonProcess; stream: Stream; client: Client }> {
  const who = daemonWithLedger();
  daemon = who;
  await who.start();
  const client = await connect({ address: who.socket });
  const stream = new Stream(client, { prefix: 'disk-', lanes: LANES, ms: () => 0 });
  await stream.flows();
  return { who, stream, client };
}

describe.skipIf(!strace)(`calls of the store that fail (SEED=${seed})`, () => {
  const random = seeded(seed);
  test.each([
    ['pwrite64', 'EIO', '-wal'],
    ['pwrite64', 'ENOSPC', '-wal'],
    ['fsync', 'EIO', '-wal'],
    ['pwrite64', 'EIO', ''],
    ['fsync', 'EIO', ''],
  ])(
    '%s with %s on the database%s: no false ACK, and requests are taken again without a restart',
    async (call, error, which) => {
      const { who, stream, client } = await streaming();
      const failures = async () =>
        ((await client.send('INFORMATION')).data.counters as { store: { failures: number } }).store.failures;
      for (let round = 0; round < ROUNDS; round++) {
        const before = await failures();
        // At first each of so many fails, then every call does. The log is copied seldom.
        const nth = which === '' ? 1 : 1 + Math.floor(random() * 20);
        for (const when of [`${nth}+${nth + 1}`, '1+']) {
          const tracer = await failing(who, call, error, when, who.database + which);
          try {
            await until('a call fails', () => readFileSync(traceOf(who), 'utf8').includes('INJECTED'));
            if (which === '-wal') await until('it was noticed', async () => (await failures()) > before);
            else await stream.flows(); // only the copying of the log fails, which is tried again
          } finally {
            await detached(tracer);
          }
          await stream.flows();
        }
      }
      await stream.stop();
      if (which === '-wal') expect(stream.refused).toBeGreaterThan(0);
      else expect([stream.refused, who.stderr]).toEqual([0, expect.stringContaining('copying the write-ahead log')]);
      await client.close();
      await expectNothingLost(who, stream);
    },
  );
});

test('a database that another process has locked: refused until it lets go', async () => {
  const { who, stream, client } = await streaming();
  const other = new Database(who.database);
  other.exec('BEGIN IMMEDIATE');
  await until('requests are refused', () => stream.refused > 0, 20_000);
  other.exec('ROLLBACK');
  other.close();
  await stream.flows();
  await stream.stop();
  await client.close();
  await expectNothingLost(who, stream);
});
