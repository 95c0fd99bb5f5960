import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Seal } from '../../core/dist/cluster/seal.js';
import { Routers } from './bus-stage.ts';
import { NatsServer, noNats } from './nats-server.ts';

const LIMIT_MS = 20_000;
const TO_B = 'centreond.prod.router.b';
const TO_ALL = 'centreond.prod.nodes';
const TELL = { kind: 'tell', what: 'news', number: 0, asker: 0, part: 0, parts: 1 } as const;

describe.skipIf(noNats)('on a NATS where others may publish', () => {
  const routers = new Routers();
  let nats: NatsServer;
  let stranger: NatsConnection;
  /** What the stranger hears, with where. */
  const recorded: { readonly subject: string; readonly data: Uint8Array }[] = [];
  beforeEach(async () => {
    nats = await new NatsServer().start();
    stranger = await connect({ servers: nats.url });
    recorded.length = 0;
    const callback = (error: Error | null, { subject, data }: { subject: string; data: Uint8Array }) => {
      if (!error && data.length > 0) recorded.push({ subject, data: Uint8Array.from(data) });
    };
    stranger.subscribe('centreond.>', { callback });
    await stranger.flush();
  });
  afterEach(async () => {
    await routers.close();
    await stranger.close();
    await nats.stop();
  });

  test('a router hears only what the routers of its cluster say', async () => {
    const [a, b] = [await routers.opened('a', nats.url), await routers.opened('b', nats.url)];
    const guess = new Seal({ id: 'a', process: 1e9, secret: 'a guess', now: Date.now });
    const old = { from: 'a', kind: 'tell', what: 'news', number: 0, part: 0, parts: 1 };
    const forged = [
      Buffer.from(`${JSON.stringify(old)}\nforged`),
      Buffer.from('hello'),
      Buffer.alloc(0),
      guess.seal(TO_B, TELL, Buffer.from('forged')),
    ];
    for (let i = 0; i < 100; i++) for (const message of forged) stranger.publish(TO_B, message);
    await stranger.flush();
    a.bus.tell('b', 'news', 'said');
    await expect.poll(() => b.heard).toEqual(['a news said']);
    expect(b.bus.counters).toMatchObject({ dropped: { foreign: 400 } });
    expect(b.warnings).toHaveLength(1);
    expect(JSON.stringify([...a.warnings, ...b.warnings])).not.toContain('a secret of the routers');
  });

  test('what a router said is not heard a second time, nor by another', async () => {
    const [a, b, c] = [
      await routers.opened('a', nats.url),
      await routers.opened('b', nats.url),
      await routers.opened('c', nats.url),
    ];
    a.bus.tell('b', 'news', '1');
    a.bus.tell('*', 'nodes', '2');
    await expect.poll(() => recorded.filter(({ data }) => Buffer.from(data).includes('"kind":"tell"')).length).toBe(2);
    for (const { subject, data } of [...recorded]) {
      stranger.publish(subject, data);
      stranger.publish('centreond.prod.router.c', data);
      stranger.publish(TO_ALL, data);
    }
    await stranger.flush();
    a.bus.tell('*', 'nodes', '3');
    await expect.poll(() => c.heard.at(-1)).toBe('a nodes 3');
    await expect.poll(() => b.heard.at(-1)).toBe('a nodes 3');
    expect([a.heard, b.heard, c.heard]).toEqual([
      [],
      ['a news 1', 'a nodes 2', 'a nodes 3'],
      ['a nodes 2', 'a nodes 3'],
    ]);
  });

  test('a router that starts again does not hear what was said to the one before it', async () => {
    const [a, b] = [await routers.opened('a', nats.url), await routers.opened('b', nats.url)];
    a.bus.tell('b', 'news', '1');
    await expect.poll(() => b.heard).toEqual(['a news 1']);
    await expect.poll(() => recorded.some(({ subject }) => subject === TO_B)).toBe(true);
    await b.bus.close();
    const next = await routers.opened('b', nats.url);
    for (const { subject, data } of [...recorded]) stranger.publish(subject, data);
    await stranger.flush();
    a.bus.tell('b', 'news', '2');
    await expect.poll(() => next.heard).toEqual(['a news 2']);
  });

  test('an answer to a former process of a router settles no question of the next one', async () => {
    const [a, b] = [await routers.opened('a', nats.url), await routers.opened('b', nats.url)];
    const late: ((text: string) => void)[] = [];
    b.answers = () => new Promise((resolve) => late.push(resolve));
    const lost = a.bus.ask('b', 'carry', '{}', LIMIT_MS);
    lost.catch(() => {});
    await expect.poll(() => late.length).toBe(1);
    await a.bus.close();
    await expect(lost).rejects.toThrow();
    const next = await routers.opened('a', nats.url);
    const asked = next.bus.ask('b', 'carry', '{}', LIMIT_MS);
    await expect.poll(() => late.length).toBe(2);
    late[0]?.('{"to":"the former"}');
    late[1]?.('{"to":"this"}');
    expect(await asked).toBe('{"to":"this"}');
  });
});
