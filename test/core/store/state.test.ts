import { describe, expect, test } from 'vitest';
import { eachDriver } from './drivers.ts';
import { request } from './opened.ts';

eachDriver(({ opened, place }) => {
  describe('what plugins keep', () => {
    test('is set, replaced, listed by its keys, forgotten, and there after a restart', async () => {
      const at = await place();
      const first = await opened({}, at);
      for (const key of ['b/2', 'a', 'b/1', 'b', 'é', 'B'])
        await first.state.set('cron', { key, value: `"${key}"` }, 1e6);
      await first.state.set('other', { key: 'a', value: '1' }, 1e6);
      await first.state.set('cron', { key: 'a', value: '{"x":1}' }, 1e6);
      await first.state.delete('cron', 'b');
      await first.close();
      const { state } = await opened({}, at);
      expect(await state.get('cron', 'a')).toBe('{"x":1}');
      expect(await state.get('cron', 'b')).toBeUndefined();
      const keys = async (prefix: string, after = '') =>
        (await state.list('cron', prefix, after, 1e6)).entries.map(({ key }) => key);
      expect(await keys('')).toEqual(['B', 'a', 'b/1', 'b/2', 'é']);
      expect(await keys('b/')).toEqual(['b/1', 'b/2']);
      expect(await keys('', 'b/1')).toEqual(['b/2', 'é']);
    });

    test('is bounded for each type, and may always shrink', async () => {
      const { state } = await opened();
      await state.set('cron', { key: 'k', value: 'x'.repeat(90) }, 100);
      await expect(state.set('cron', { key: 'l', value: 'x'.repeat(20) }, 100)).rejects.toMatchObject({
        code: 'STATE_FULL',
      });
      await state.set('cron', { key: 'k', value: 'x'.repeat(50) }, 10);
      await state.set('cron', { key: 'l', value: 'x'.repeat(20) }, 100);
      await state.set('other', { key: 'k', value: 'x'.repeat(90) }, 100);
    });

    test('comes in pages that end by size, with one entry at least', async () => {
      const { state } = await opened();
      for (let i = 0; i < 5; i++) await state.set('t', { key: `k${i}`, value: 'x'.repeat(1000) }, 1e6);
      const seen: string[] = [];
      const sizes: number[] = [];
      for (let after = '', more = true; more; ) {
        const page = await state.list('t', 'k', after, 2700);
        seen.push(...page.entries.map(({ key }) => key));
        sizes.push(page.entries.length);
        after = page.entries.at(-1)?.key ?? '';
        more = page.more;
      }
      expect(seen).toEqual(['k0', 'k1', 'k2', 'k3', 'k4']);
      expect(sizes).toEqual([2, 2, 1]);
      expect((await state.list('t', '', '', 1)).entries).toHaveLength(1);
    });
  });

  test('every character is kept as it is, in tokens, owners, keys and values', async () => {
    const store = await opened();
    const words = ['\u0000', 'a\u0000b', '\u0001', '\u0001\u0001\u0002\u0000', 'é日🙂', '\'"\\{},NULL', ' '];
    for (const word of words) {
      const asked = request(`t${word}`, { owner: `o${word}`, action: 'A', data: JSON.stringify(word) });
      await store.accept(asked, JSON.stringify(word));
      expect(await store.find(`t${word}`)).toMatchObject(asked);
      const { rows } = await store.query({ owner: `o${word}`, limit: 10, maxBytes: 1e6 });
      expect(rows).toMatchObject([{ token: `t${word}`, data: JSON.stringify(word) }]);
      await store.state.set('t', { key: `k${word}`, value: JSON.stringify(word) }, 1e6);
      expect(await store.state.get('t', `k${word}`)).toBe(JSON.stringify(word));
    }
    const { entries } = await store.state.list('t', 'k', '', 1e6);
    const order = words.map((word) => `k${word}`).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(entries.map(({ key }) => key)).toEqual(order);
    expect((await store.state.list('t', 'k\u0001', '', 1e6)).entries).toHaveLength(2);
  });
});
