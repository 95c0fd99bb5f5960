import path from 'node:path';
import type { Json } from '@centreond/protocol';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { PluginState } from '../../../core/dist/host/state.js';
import { openStore } from '../../../core/dist/store/open-store.js';
import type { TokenStore } from '../../../core/dist/store/token-store.js';
import { folder, opened, options } from '../store/opened.ts';

const MESSAGE = 16 * 1024 * 1024;

async function kept(state: PluginState, type: string, key: string): Promise<Json | undefined> {
  return (JSON.parse((await state.get(type, key)).data) as { value?: Json }).value;
}

async function keysOf(state: PluginState, type: string, prefix: string, after = ''): Promise<string[]> {
  const { entries } = JSON.parse((await state.list(type, prefix, after)).data) as { entries: { key: string }[] };
  return entries.map(({ key }) => key);
}

describe("a plugin's state", () => {
  test('gives back each JSON value that was set, the last one of a key, and nothing for a key that was deleted', async () => {
    const state = new PluginState((await opened()).state, MESSAGE);
    const values: Json[] = [null, 0, '', 'ünï “quotes” \u0000', [1, [2]], { a: { b: null } }, false];
    for (const [i, value] of values.entries()) await state.set('cron', `k${i}`, value);
    for (const [i, value] of values.entries()) expect(await kept(state, 'cron', `k${i}`)).toEqual(value);
    await state.set('cron', 'k0', 'again');
    expect(await kept(state, 'cron', 'k0')).toBe('again');
    await state.delete('cron', 'k0');
    await state.delete('cron', 'k0');
    expect((await state.get('cron', 'k0')).data).toBe('{}');
  });

  test('is kept apart by type', async () => {
    const state = new PluginState((await opened()).state, MESSAGE);
    await state.set('cron', 'key', 'of cron');
    await state.set('proxy', 'key', 'of proxy');
    await state.delete('proxy', 'key');
    expect(await kept(state, 'cron', 'key')).toBe('of cron');
    expect(await keysOf(state, 'proxy', '')).toEqual([]);
  });

  test('lists by prefix and by key, whatever characters are in either, and page by page', async () => {
    const state = new PluginState((await opened()).state, 8192);
    const keys = ['a', 'a%', 'a_', 'aZ', 'ab', 'a\u{1F600}', 'a\uFFFF', 'b', 'A'];
    for (const key of keys) await state.set('cron', key, key);
    expect(await keysOf(state, 'cron', 'a')).toEqual(['a', 'a%', 'aZ', 'a_', 'ab', 'a\uFFFF', 'a\u{1F600}']);
    expect(await keysOf(state, 'cron', 'a_')).toEqual(['a_']);
    expect(await keysOf(state, 'cron', 'c')).toEqual([]);
    for (let i = 0; i < 40; i++) await state.set('long', `k${String(i).padStart(2, '0')}`, 'x'.repeat(1000));
    const found: string[] = [];
    for (let more = true; more; ) {
      const page = JSON.parse((await state.list('long', 'k', found.at(-1) ?? '')).data);
      expect(page.entries.length).toBeLessThan(8);
      found.push(...page.entries.map(({ key }: { key: string }) => key));
      more = page.more;
    }
    expect(found).toEqual(Array.from({ length: 40 }, (_, i) => `k${String(i).padStart(2, '0')}`));
  });

  test('is still there when the database is opened again, and in a database that is older than it', async () => {
    const file = path.join(folder(), 'history.sdb');
    const reopen = (use: (store: TokenStore) => Promise<void>) =>
      openStore(options({ file })).then(async (store) => {
        await use(store);
        await store.close();
      });
    await reopen(async () => {});
    const database = new Database(file);
    database.exec('DROP TABLE centreond_state');
    database.close();
    await reopen((store) => new PluginState(store.state, MESSAGE).set('cron', 'key', { kept: true }));
    await reopen(async (store) => {
      expect(await kept(new PluginState(store.state, MESSAGE), 'cron', 'key')).toEqual({ kept: true });
    });
  });

  test('refuses keys and values beyond the bounds, and says which', async () => {
    const state = new PluginState((await opened()).state, MESSAGE);
    const refused = (key: string, value: Json) => expect(state.set('cron', key, value)).rejects;
    await refused('', 1).toMatchObject({ code: 'INVALID_DATA', message: expect.stringContaining('1 to 255') });
    await refused('k'.repeat(256), 1).toMatchObject({ code: 'INVALID_DATA' });
    await refused('\ud800', 1).toMatchObject({ code: 'INVALID_DATA' });
    await state.set('cron', 'k'.repeat(255), 1);
    await state.set('cron', 'large', 'x'.repeat(1024 * 1024 - 2));
    await refused('large', 'x'.repeat(1024 * 1024 - 1)).toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(/large has 1048577 bytes.*1048576/),
    });
    let deep: Json = 1;
    for (let i = 0; i < 29; i++) deep = [deep];
    await refused('deep', deep).toMatchObject({ code: 'INVALID_DATA' });
  });

  test('has a bound for each type, which what was deleted or replaced does not count towards, also after a restart', async () => {
    const file = path.join(folder(), 'history.sdb');
    const limit = 1000;
    let store = await openStore(options({ file }));
    let state = new PluginState(store.state, MESSAGE, limit);
    // 4 bytes of key, 496 and 492 of JSON.
    await state.set('cron', 'key1', 'x'.repeat(494));
    await state.set('cron', 'key2', 'x'.repeat(490));
    const full = expect(state.set('cron', 'key3', 'x'.repeat(100))).rejects;
    await full.toMatchObject({
      code: 'STATE_FULL',
      message: expect.stringMatching(/cron would keep 1102 bytes.*1000/),
    });
    await state.set('proxy', 'key3', 'x'.repeat(100));
    await store.close();
    store = await openStore(options({ file }));
    state = new PluginState(store.state, MESSAGE, limit);
    await expect(state.set('cron', 'key3', '')).rejects.toMatchObject({ code: 'STATE_FULL' });
    await state.set('cron', 'key1', 'smaller');
    await state.set('cron', 'key3', 'x'.repeat(100));
    await state.delete('cron', 'key2');
    await state.set('cron', 'key4', 'x'.repeat(494));
    await store.close();
  });

  test('may be read and deleted, and not grow, in a store at its size limit', async () => {
    const store = await opened({ maxBytes: 400_000 });
    const state = new PluginState(store.state, MESSAGE);
    await state.set('cron', 'small', 'x'.repeat(100));
    await state.set('cron', 'large', 'x'.repeat(500_000));
    await expect(state.set('cron', 'more', 1)).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await state.set('cron', 'small', 'y');
    await state.delete('cron', 'large');
    await state.set('cron', 'more', 1);
  });

  test('of many writes at once keeps each, in the order of the calls', async () => {
    const state = new PluginState((await opened()).state, MESSAGE);
    await Promise.all(Array.from({ length: 3000 }, (_, i) => state.set('cron', `k${i % 3}`, i)));
    expect(await Promise.all([0, 1, 2].map((i) => kept(state, 'cron', `k${i}`)))).toEqual([2997, 2998, 2999]);
  });
});
