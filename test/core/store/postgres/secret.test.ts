import { expect, test } from 'vitest';
import type { TokenStore } from '../../../../core/dist/store/token-store.js';
import { onPostgres } from '../drivers.ts';

onPostgres(({ opened, place }) => {
  const secretOf = ({ membership }: TokenStore) => membership?.secret();
  const among = (node: string, cluster: string) => ({ node, router: { cluster, fingerprint: node } });

  test('all routers of a cluster know one secret, which is random, lasts, and is not that of another cluster', async () => {
    const at = await place();
    const [a, b] = [await opened(among('a', 'prod'), at), await opened(among('b', 'prod'), at)];
    // Both ask at once: none was there.
    const [first, second] = await Promise.all([secretOf(a), secretOf(b)]);
    expect(first).toMatch(/^[\w-]{43}$/);
    expect(second).toBe(first);
    expect(await secretOf(await opened(among('a', 'prod'), at))).toBe(first);
    expect(await secretOf(await opened(among('c', 'test'), at))).not.toBe(first);
    expect(await secretOf(await opened(among('a', 'prod'), await place()))).not.toBe(first);
  });

  test('each process of a router has a higher number than the one before', async () => {
    const at = await place();
    const first = (await opened(among('a', 'prod'), at)).membership?.fence ?? 0;
    const second = (await opened(among('a', 'prod'), at)).membership?.fence ?? 0;
    expect(second).toBeGreaterThan(first);
  });
});
