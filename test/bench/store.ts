// npm run bench:store [-- --rows 0 --rows 1000000] [--folder FOLDER] [--json]
// The token store alone, on histories of so many rows: what a request costs, how fast a token is read, and how long a request
// waits while the store purges, synchronises and copies its log. With --folder the databases are kept for the next run.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { newToken } from '@centreond/protocol';
import { Limits } from '../../core/dist/config/limits.js';
import { emptyBatch, pushAccept, pushAppend } from '../../core/dist/store/batch.js';
import { openStore } from '../../core/dist/store/open-store.js';
import { Writer } from '../../core/dist/store/sqlite/writer.js';
import type { ForeignRow, RequestRecord, TokenStore } from '../../core/dist/store/token-store.js';
import { quantile } from '../fleet/report.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', multiple: true, default: ['0', '1000000'] },
    folder: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const DAY = 24 * 3600;
const NOW = Math.floor(Date.now() / 1000);
/** The history reaches so far back; three tenths of it are due to go. */
const AGE = 10 * DAY;
const RETENTION = 7 * DAY;
const MAX_BYTES = 1e12;
const NOTE = JSON.stringify({ note: 'x'.repeat(400) });
const FILL_AT_ONCE = 500;
const AT_ONCE = 500;
const WARM_MS = 2000;
const MEASURED_MS = 4000;
const READS = 3000;
const PROBE_EVERY_MS = 5;
const PAGE_ROWS = 1000;
const PAGE_BYTES = 1024 * 1024;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function request(token: string, etime: number): RequestRecord {
  return { token, owner: 'bench', action: 'ECHO', target: '', data: NOTE, envelope: '', etime };
}

function figure(milliseconds: readonly number[], part: number): number {
  return Number(quantile(milliseconds, part).toPrecision(3));
}

/** Writes a history of `rows`, which ends now. The tokens are those of their time. */
function fill(file: string, rows: number): void {
  const limits = { retentionSeconds: RETENTION, maxBytes: MAX_BYTES };
  const writer = new Writer({ file, synchronous: 'off', ...limits, wall: NOW, monotonic: 0, lockMs: 5000 });
  let number = 0;
  for (let made = 0; made < rows; made += 2 * FILL_AT_ONCE) {
    const at = NOW - AGE + Math.floor((made / rows) * AGE);
    const batch = { ...emptyBatch(), now: at, settled: number };
    for (let i = 0; i < FILL_AT_ONCE; i++) {
      const token = newToken(at * 1000 + i);
      pushAccept(batch, ++number, request(token, at), '{}');
      pushAppend(batch, { token, code: 2, etime: at, data: NOTE }, '', -number);
    }
    const { failed } = writer.write([batch]);
    if (failed) throw new Error(failed);
    writer.checkpoint();
  }
  writer.close();
}

async function oneRequest(store: TokenStore): Promise<void> {
  const token = newToken();
  const etime = Math.floor(Date.now() / 1000);
  await store.accept(request(token, etime), '{}');
  await store.append({ token, code: 2, etime, data: NOTE });
}

/** How many requests are written in a second with `AT_ONCE` under way, and the CPU time of all threads for one. */
async function writes(store: TokenStore) {
  let count = 0;
  let going = true;
  const busy = Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (; going; count++) await oneRequest(store);
    }),
  );
  await pause(WARM_MS);
  const [before, at, cpu] = [count, performance.now(), process.cpuUsage()];
  await pause(MEASURED_MS);
  const [done, tookMs, { user, system }] = [count - before, performance.now() - at, process.cpuUsage(cpu)];
  going = false;
  await busy;
  return { perSecond: Math.round((done * 1000) / tookMs), cpuMicros: Math.round((user + system) / done) };
}

/** Reads the rows of tokens all over the history, one after the other. */
async function reads(store: TokenStore) {
  const end = await store.end();
  const tokens: string[] = [];
  for (let i = 0; i < READS; i++) {
    const { rows } = await store.query({ id: Math.floor(Math.random() * (end - 2)), limit: 1, maxBytes: 1 });
    if (rows[0]) tokens.push(rows[0].token);
  }
  const taken: number[] = [];
  for (const token of tokens) {
    const since = performance.now();
    const { count } = await store.queryText({ token, limit: 100, maxBytes: PAGE_BYTES });
    taken.push(performance.now() - since);
    if (count < 1) throw new Error(`${token} has no rows`);
  }
  return { p50Ms: figure(taken, 0.5), p99Ms: figure(taken, 0.99) };
}

/** How long requests take that come every few milliseconds while `work` goes on, which is begun again until the time is over. */
async function heldUp(store: TokenStore, work: () => Promise<unknown>) {
  const taken: number[] = [];
  const limit = performance.now() + MEASURED_MS;
  let going = true;
  const working = (async () => {
    while (going) await work();
  })();
  const probes: Promise<void>[] = [];
  while (performance.now() < limit) {
    const since = performance.now();
    const probe = store.accept(request(newToken(), NOW), '{}');
    probes.push(probe.then(() => void taken.push(performance.now() - since)));
    await pause(PROBE_EVERY_MS);
  }
  going = false;
  await Promise.all([working, ...probes]);
  return { p50Ms: figure(taken, 0.5), p99Ms: figure(taken, 0.99), maxMs: figure(taken, 1) };
}

/** The log of a node that never ends. */
function nodeLog() {
  let last = 0;
  const row = (): ForeignRow => {
    const etime = Math.floor(Date.now() / 1000);
    const what = { token: newToken(), type: 'ECHO', code: 10, etime, data: NOTE };
    return { node: 'poller', epoch: 'bench', originId: ++last, ...what };
  };
  return () => {
    const from = last;
    const rows = Array.from({ length: PAGE_ROWS / 4 }, row);
    return { node: 'poller', epoch: 'bench', rows, aside: [], from, last };
  };
}

async function measure(file: string) {
  const store = await openStore({
    file,
    node: 'central',
    synchronous: 'full',
    retentionSeconds: RETENTION,
    maxBytes: MAX_BYTES,
    reads: Limits.parse({}).reads,
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    log: { info: () => {}, warn: () => {}, error: (fields, message) => console.error(message, fields) },
  });
  try {
    const written = await writes(store);
    const read = await reads(store);
    const page = nodeLog();
    let after = 0;
    const nextPage = async () => {
      const { last, more } = await store.log(after, PAGE_ROWS, PAGE_BYTES);
      after = more ? last : 0;
    };
    let isPurging = false;
    const works = {
      nothing: () => pause(PROBE_EVERY_MS),
      'a node reads the log': nextPage,
      "a node's log comes": () => store.adopt(page()),
      'fifty requests at once': () => Promise.all(Array.from({ length: 50 }, () => oneRequest(store))),
      purge: () => {
        if (!isPurging) store.purge().catch(() => {}); // the store's own end may end it
        isPurging = true;
        return pause(PROBE_EVERY_MS);
      },
    };
    const held: Record<string, Awaited<ReturnType<typeof heldUp>>> = {};
    for (const [name, work] of Object.entries(works)) held[name] = await heldUp(store, work);
    return { bytes: store.counters().bytes, written, read, held };
  } finally {
    await store.close();
  }
}

const folder = values.folder ?? mkdtempSync(path.join(os.tmpdir(), 'centreond-bench-'));
mkdirSync(folder, { recursive: true });
const results: Record<string, Awaited<ReturnType<typeof measure>>> = {};
try {
  for (const rows of values.rows) {
    const file = path.join(folder, `history-${rows}.sdb`);
    if (!existsSync(file)) fill(file, Number(rows));
    const result = await measure(file);
    results[rows] = result;
    if (values.json) continue;
    const { bytes, written, read, held } = result;
    const line = (name: string, text: string) => process.stdout.write(`${name.padEnd(26)}${text}\n`);
    line(`${rows} rows`, `${Math.round(bytes / 1e6)} MB`);
    line('  a request', `${written.cpuMicros} µs of CPU, ${written.perSecond}/s, ${AT_ONCE} at once`);
    line('  GETLOG by token', `p50 ${read.p50Ms} ms, p99 ${read.p99Ms} ms`);
    for (const [name, { p50Ms, p99Ms, maxMs }] of Object.entries(held)) {
      line(`  an ACK, while ${name}`.padEnd(39), `p50 ${p50Ms} ms, p99 ${p99Ms} ms, longest ${maxMs} ms`);
    }
  }
} finally {
  if (!values.folder) rmSync(folder, { recursive: true, force: true });
}
if (values.json) process.stdout.write(`${JSON.stringify({ histories: results })}\n`);
