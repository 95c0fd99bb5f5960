import { describe, expect, onTestFinished, test } from 'vitest';
import { noPostgres } from '../core/store/postgres-server.ts';
import { Cluster } from './cluster.ts';
import { noNats } from './nats-server.ts';

const SEEN = { timeout: 30_000 };

describe.skipIf(noPostgres ?? noNats)('a router that is gone for good', () => {
  test('is forgotten on request, once another has its place; and is a new one when it comes back', async () => {
    const cluster = await Cluster.start({ routers: 2 });
    onTestFinished(() => cluster.close());
    const [first, second] = cluster.routers;
    if (!first || !second) throw new Error('there are two routers');
    const states = async () =>
      (await first.cli('routers', '--json')).stdout.matchAll(/"id":"([^"]+)","state":"(\w+)"/g);
    const listed = async () => [...(await states())].map(([, id, state]) => `${id} ${state}`);
    const words = async () => (await first.cli('complete', '--', 'routers', 'forget', 'c')).stdout;
    const refused = async (id: string) => {
      const { code, stdout, stderr } = await first.cli('routers', 'forget', id);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      return stderr;
    };
    expect(await refused('central-b')).toMatch(/ROUTER_NOT_GONE: The router central-b is not gone: it was heard/);
    expect(await refused('central-x')).toMatch(/UNKNOWN_ROUTER: The cluster test has no router central-x; did you/);
    expect(await words()).toBe('');

    const { token } = await cluster.client(second).send('ONCE', { ms: 60_000 });
    await second.end('SIGKILL');
    await expect.poll(listed, SEEN).toEqual(['central-a up', 'central-b taken']);
    expect(await words()).toBe('central-b\ttaken\n');
    const { code, stdout, stderr } = await first.cli('routers', 'forget', 'central-b');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('central-b is no router of the cluster test any more.\n');
    expect(await listed(), 'at once').toEqual(['central-a up']);
    const admin = cluster.admin(first);
    const target = { target: 'central-b' };
    const codeOf = () => admin.send('ECHO', {}, target).then(String, ({ code: refusal }: { code: string }) => refusal);
    await expect.poll(codeOf, SEEN).toBe('UNKNOWN_TARGET');
    await expect
      .poll(async () => (await admin.query({ token })).at(-1)?.data, SEEN)
      .toMatchObject({
        error: 'OUTCOME_UNKNOWN',
      });

    await cluster.restart(second);
    await expect.poll(listed, SEEN).toEqual(['central-a up', 'central-b up']);
    await expect.poll(async () => (await admin.call('ECHO', { n: 1 }, target)).ok, SEEN).toBe(true);
    // One that stops by itself is forgotten as well.
    await second.end('SIGTERM');
    await expect.poll(listed, SEEN).toEqual(['central-a up', 'central-b stopped']);
    expect((await first.cli('routers', 'forget', 'central-b', '--json')).stdout).toBe(
      '{"id":"central-b","cluster":"test"}\n',
    );
  });
});
