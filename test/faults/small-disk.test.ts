import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import { afterEach, describe, expect, test } from 'vitest';
import { type DaemonProcess, until } from '../daemon-process.ts';
import { report } from '../fleet/report.ts';
import { storedRows, violationsOf } from '../history/checker.ts';
import { daemonWithLedger, expectSound, runs, seeded, seedOfRun } from './ledger.ts';
import { Stream } from './stream.ts';

const ROUNDS = process.env.LONG ? 30 : 3;
/** Bytes that stay free when the disk is filled: the stream meets its end at another step of the store each time. */
const LEFT = [0, 4096, 16_384, 65_536, 262_144, 1_048_576];
const SIZE = '64m';
const seed = seedOfRun();

/** Whether a small disk can be mounted here. */
const mayMount = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0;
if (!mayMount) process.stderr.write('no disk can be mounted here: one that is full is not tried\n');

/** A disk of its own for the data folder of a daemon. */
class SmallDisk {
  readonly #filler: string;

  constructor(private readonly folder: string) {
    mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=700`, 'tmpfs', folder]);
    this.#filler = path.join(folder, 'filler');
  }

  get free(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Writes until only `left` bytes are free. */
  fill(left: number): void {
    const file = openSync(this.#filler, 'w');
    try {
      for (let rest = this.free - left; rest > 0; ) rest -= writeSync(file, Buffer.alloc(Math.min(rest, 1 << 20)));
    } catch (error) {
      // The daemon writes, too.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  makeRoom(): void {
    rmSync(this.#filler, { force: true });
  }

  unmount(): void {
    execFileSync('umount', ['-l', this.folder]);
  }
}

let daemon: DaemonProcess | undefined;
let disk: SmallDisk | undefined;
afterEach(async () => {
  await daemon?.end('SIGKILL');
  disk?.unmount();
  disk = undefined;
  await daemon?.dispose();
});

describe.skipIf(!mayMount)(`a data folder on a disk that fills up (SEED=${seed})`, () => {
  test('refuses with STORE_FAILED, acknowledges nothing that is not kept, and goes on without a restart once there is room', async () => {
    const random = seeded(seed);
    const who = daemonWithLedger();
    daemon = who;
    disk = new SmallDisk(path.join(who.folder, 'var'));
    await who.start();
    const client = await connect({ address: who.socket });
    const stream = new Stream(client, { prefix: 'full-', lanes: 20, ms: () => 0 });
    await stream.flows();
    for (let round = 0; round < ROUNDS; round++) {
      const before = stream.refused;
      disk.fill(LEFT[round % LEFT.length] as number);
      await until('requests are refused', () => stream.refused > before, 60_000);
      await new Promise((resolve) => setTimeout(resolve, random() * 1000));
      disk.makeRoom();
      await stream.flows();
    }
    await stream.stop();
    await client.close();

    // A stop, and a start, on a disk without a free byte: what the stop freed is filled again.
    disk.fill(0);
    expect(await who.end('SIGTERM')).toBe(0);
    disk.fill(0);
    const started = await who.start().then(
      () => 'it starts',
      (error: Error) => error.message,
    );
    report(`on a full disk: ${started.trim().split('\n').at(-1)}`);
    const { recorder } = stream;
    if (started === 'it starts') {
      // It may be taken: a write-ahead log that is there has room of its own.
      const full = await connect({ address: who.socket });
      await recorder.send(full, 'ONCE', { ms: 0 }, { token: 'full-late', once: true });
      await full.close();
      disk.makeRoom();
    } else {
      expect(started).toMatch(/ended with [1-9]/);
      disk.makeRoom();
      await who.start();
    }
    const last = await connect({ address: who.socket });
    await recorder.send(last, 'ONCE', { ms: 0 }, { token: 'full-last', once: true });
    const open = async () => (await last.send('GETREQUESTS', { state: 'open', limit: 1 })).data.requests as unknown[];
    await until('every request has ended', async () => (await open()).length === 0);
    await last.close();
    expect(await who.end('SIGTERM')).toBe(0);

    const { events, acknowledged, refusals } = recorder;
    expect([...refusals.keys()]).toEqual(['STORE_FAILED']);
    expect(acknowledged.has('full-last')).toBe(true);
    const rows = storedRows(who.database, 'full-');
    expect(violationsOf({ events, rows, runs: runs(who) })).toEqual([]);
    expectSound(who.database);
    report(`${acknowledged.size} acknowledged, ${stream.refused} refused, ${ROUNDS} times full`);
  });
});
