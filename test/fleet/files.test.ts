import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT, until } from '../daemon-process.ts';
import { Fleet } from './fleet.ts';
import { report, seconds } from './report.ts';

const MIB = 1024 * 1024;
const BYTES = (process.env.LONG ? 1024 : 64) * MIB;
const CUTS = 5;
const CHUNK = 88 * 1024;
const FILES = path.join(ROOT, 'plugins/files');
const LIMIT_MS = process.env.LONG ? 900_000 : 180_000;

const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-files-'));
const outbox = path.join(folder, 'outbox');
const inbox = path.join(folder, 'inbox');
let fleet: Fleet;

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(file)) hash.update(bytes as Buffer);
  return hash.digest('hex');
}

beforeAll(async () => {
  mkdirSync(outbox);
  mkdirSync(inbox);
  const file = openSync(path.join(outbox, 'large'), 'w');
  for (let written = 0; written < BYTES; written += MIB) writeSync(file, randomBytes(MIB));
  closeSync(file);
  fleet = await Fleet.start({
    push: 1,
    pull: 1,
    central: { plugins: [{ package: FILES, config: { send: [outbox] } }] },
    poller: { plugins: [{ package: FILES, config: { receive: [inbox] } }] },
  });
});
afterAll(async () => {
  await fleet?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Bytes of the only transfer under way that the node has staged. */
async function staged(): Promise<number> {
  const all = path.join(inbox, '.centreond-staging');
  if (!existsSync(all)) return 0;
  const files = readdirSync(all, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && entry.name !== 'done',
  );
  const sizes = await Promise.all(
    files.map(
      async ({ parentPath, name }) => (await stat(path.join(parentPath, name)).catch(() => undefined))?.size ?? 0,
    ),
  );
  return Math.max(0, ...sizes);
}

interface Sent {
  readonly files: number;
  readonly bytes: number;
  readonly bytesSent: number;
  readonly bytesResent: number;
  readonly seconds: number;
}

describe.each(['push-1', 'pull-1'])('a large file to %s', (id) => {
  test(`arrives once and whole with the link cut ${CUTS} times, and at most 5 chunks go again for each cut`, {
    timeout: LIMIT_MS,
  }, async () => {
    const { wire } = fleet.poller(id);
    const before = wire.bytes.up + wire.bytes.down;
    const began = Date.now();
    const sending = fleet.alice.call(
      'SENDFILES',
      { files: [{ source: 'large', destination: id }] },
      { target: id, timeoutMs: LIMIT_MS },
    );
    for (let cut = 1; cut <= CUTS; cut++) {
      await until(`${cut} parts have arrived`, async () => (await staged()) > (BYTES * cut) / (CUTS + 1), LIMIT_MS);
      wire.cut();
      expect(await staged()).toBeLessThan(BYTES);
      await wait(200);
      await wire.heal();
    }
    const { data, ok } = await sending;
    expect(data).toMatchObject({ files: 1, bytes: BYTES });
    expect(ok).toBe(true);
    const sent = data as unknown as Sent;
    const carried = wire.bytes.up + wire.bytes.down - before;
    const took = Date.now() - began;
    report(
      `${id}: ${BYTES / MIB} MiB in ${seconds(took)} (${(BYTES / MIB / (took / 1000)).toFixed(1)} MiB/s) over ${CUTS} cuts, ${sent.bytesResent / CHUNK} chunks sent again, ${(carried / BYTES).toFixed(3)} bytes on the wire for each`,
    );
    expect(sent.bytesResent).toBeLessThanOrEqual(CUTS * 5 * CHUNK);
    // What the wire saw agrees: base64 takes 4 bytes for 3, and the rest is a percent or two.
    expect(carried).toBeLessThan((BYTES + CUTS * 5 * CHUNK) * 1.4);
    expect(await sha256(path.join(inbox, id))).toBe(await sha256(path.join(outbox, 'large')));
  });

  test('arrives without a cut', { timeout: LIMIT_MS }, async () => {
    const began = Date.now();
    const { data } = await fleet.alice.call(
      'SENDFILES',
      { files: [{ source: 'large', destination: `${id}-whole` }] },
      { target: id, timeoutMs: LIMIT_MS },
    );
    expect(data).toMatchObject({ files: 1, bytes: BYTES, bytesSent: BYTES, bytesResent: 0 });
    report(`${id}: ${(BYTES / MIB / ((Date.now() - began) / 1000)).toFixed(1)} MiB/s without a cut`);
    expect(await sha256(path.join(inbox, `${id}-whole`))).toBe(await sha256(path.join(outbox, 'large')));
  });
});
