import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished } from 'vitest';
import type { TokenStore } from '../../../core/dist/store/token-store.js';
import { allRows, unsettled } from './opened.ts';

const PROGRAM = path.join(import.meta.dirname, 'writing-child.ts');

/** What a writing child said so far. */
export interface Said {
  child: ChildProcess;
  lines: string[];
  /** Waits until `enough` of the lines; fails when the child ends first. */
  until(enough: (lines: string[]) => boolean): Promise<void>;
  end(): Promise<void>;
}

export function writing(place: string, seed: number): Said {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM, place, String(seed)], {
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
export async function holds(store: TokenStore, said: readonly string[]): Promise<void> {
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

export function idsIn(lines: readonly string[]): number[] {
  return lines.filter((line) => /^a/.test(line)).map((line) => Number(line.split(' ')[2]));
}
