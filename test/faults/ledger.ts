import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import { DaemonProcess as Daemon, type DaemonProcess, processesWith, ROOT } from '../daemon-process.ts';

/** A daemon with the probe plugin, which writes a line for each run into a ledger. */
export function daemonWithLedger(): DaemonProcess {
  const daemon = new Daemon({ core: { log: { level: 'warn' } } });
  daemon.settings.plugins = [
    {
      package: path.join(ROOT, 'test/fixtures/probe'),
      restart: { max: 1000, within: '1s' },
      config: { ledger: path.join(daemon.folder, 'ledger') },
    },
  ];
  return daemon;
}

/** How often each token ran. */
export function runs(daemon: DaemonProcess): Map<string, number> {
  const file = path.join(daemon.folder, 'ledger');
  const counts = new Map<string, number>();
  if (!existsSync(file)) return counts;
  for (const token of readFileSync(file, 'utf8').split('\n')) {
    if (token !== '') counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  return counts;
}

/** How many terminal rows each token has in the database of a daemon that has stopped. */
export function terminalRows(daemon: DaemonProcess): Map<string, number> {
  const db = new Database(daemon.database, { readonly: true });
  try {
    const rows = db
      .prepare<[], { token: string; n: number }>(
        'SELECT token, sum(code IN (1, 2)) AS n FROM centreond_history GROUP BY token',
      )
      .all();
    return new Map(rows.map(({ token, n }) => [token, n]));
  } finally {
    db.close();
  }
}

/** Fails unless SQLite finds the database of a daemon that has stopped sound. */
export function expectSound(file: string): void {
  const db = new Database(file, { readonly: true });
  try {
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
  } finally {
    db.close();
  }
}

/** The longest that a token took from its acceptance to its end, in whole seconds. The daemon must have stopped. */
export function longestLife(file: string, prefix: string): number {
  const db = new Database(file, { readonly: true });
  try {
    const lives = db.prepare<[string], number>(
      `SELECT max(life) FROM (SELECT max(ctime) - min(ctime) AS life FROM centreond_history WHERE token GLOB ? GROUP BY token)`,
    );
    return lives.pluck().get(`${prefix}*`) ?? 0;
  } finally {
    db.close();
  }
}

/** Processes that instances of this daemon started, and the instances themselves. */
export function processesOf(daemon: DaemonProcess): number[] {
  const mark = createHash('sha256').update(path.join(daemon.folder, 'var')).digest('hex').slice(0, 16);
  // Not the shell that looks after them: it is there for 5 s after a daemon that was killed.
  return processesWith(`CENTREOND_INSTANCE=${mark}`, ['environ']);
}

/** A repeatable stream of numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed of this run: the environment's, or a new one that the failure shows. */
export function seedOfRun(): number {
  return Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
}
