import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import type { TokenStore } from '../../../core/dist/store/token-store.js';
import { allRows, folder, opened, unsettled } from './opened.ts';

const PROGRAM = path.join(import.meta.dirname, 'writing-child.ts');

/** What a writing child said so far. */
interface Said {
  child: ChildProcess;
  lines: string[];
  /** Waits until `enough` of the lines; fails when the child ends first. */
  until(enough: (lines: string[]) => boolean): Promise<void>;
  end(): Promise<void>;
}

function writing(file: string, seed: number): Said {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM, file, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  const closed = once(reader, 'close');
  let check = () => {};
  reader.on('line', (line) => {
    lines.push(line);
    check();
  });
  return {
    child,
    lines,
    until: (enough) =>
      new Promise((resolve, reject) => {
        check = () => {
          if (enough(lines)) resolve();
        };
        void closed.then(() => reject(new Error(`the child ended after ${lines.length} lines`)));
        check();
      }),
    end: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** Holds a store to all that was ever said to be on disk. */
async function holds(store: TokenStore, said: readonly string[]): Promise<void> {
  const open = new Set((await unsettled(store)).map((request) => request.token));
  const rows = await allRows(store);
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const line of said) {
    const [what, token, id, code = '0'] = line.split(' ');
    if (what === 'accept' || what === 'append')
      expect(byId.get(Number(id)), line).toMatchObject({ token, code: Number(code), type: 'WEATHER' });
  }
  const codes = new Map<string, number[]>();
  for (const row of rows) codes.set(row.token, [...(codes.get(row.token) ?? []), row.code]);
  for (const [token, list] of codes) {
    // Its row of code 0 first and once, at most one terminal row and that the last; open unless it has one.
    expect(list.join(), token).toMatch(/^0(,120)*(,2)?$/);
    expect(open.has(token), token).toBe(list.at(-1) !== 2);
    expect(await store.find(token), token).toMatchObject({ token, state: list.at(-1) === 2 ? 'ended' : 'open' });
  }
  expect([...open].every((token) => codes.has(token))).toBe(true);
}

function idsIn(lines: readonly string[]): number[] {
  return lines.filter((line) => /^a/.test(line)).map((line) => Number(line.split(' ')[2]));
}

test('a router that is killed at any moment has all that it said was on disk, and nothing half', async () => {
  const file = path.join(folder(), 'history.sdb');
  const seed = Number(process.env.STORE_CRASH_SEED ?? Date.now() % 1_000_000);
  const said: string[] = [];
  for (let round = 0; round < 3; round++) {
    const highest = Math.max(0, ...idsIn(said));
    const run = writing(file, seed + round);
    // Seeded too: somewhere between the first lines and well into the work.
    const enough = 1 + (((seed + round) * 7919) % 500);
    await run.until((lines) => lines.length > enough);
    await run.end();
    said.push(...run.lines);
    expect(Math.min(...idsIn(run.lines), Number.MAX_SAFE_INTEGER), `seed ${seed}`).toBeGreaterThan(highest);
  }
  const store = await opened({ file });
  await holds(store, said);
  const db = new Database(file, { readonly: true });
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
  db.close();
});

const prlimit = spawnSync('prlimit', ['--version']).status === 0;

test.skipIf(!prlimit)('a disk that takes no more bytes refuses, and is used again when it does', async () => {
  const file = path.join(folder(), 'history.sdb');
  const run = writing(file, 7);
  const limit = (bytes: number | 'unlimited') =>
    execFileSync('prlimit', ['--pid', String(run.child.pid), `--fsize=${bytes}:unlimited`]);
  await run.until((lines) => lines.length > 100);
  // No file may grow from here on: writes to the write-ahead log fail as on a full disk.
  limit(statSync(`${file}-wal`).size);
  const refused = (lines: string[]) => lines.filter((line) => line.startsWith('refused')).length;
  await run.until((lines) => refused(lines) > 40);
  const atFault = run.lines.length;
  limit('unlimited');
  await run.until((lines) => lines.slice(atFault).filter((line) => line.startsWith('accept')).length > 100);
  await run.end();
  expect(run.lines.filter((line) => line.startsWith('refused') && line !== 'refused STORE_FAILED')).toEqual([]);
  await holds(await opened({ file }), run.lines);
});
