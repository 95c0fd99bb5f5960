import { once } from 'node:events';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Routers } from './bus-stage.ts';
import { NatsServer, noNats } from './nats-server.ts';

const USER = { user: 'router', password: 'a word of the bus' };
const OURS = ['centreond.prod.>'];
const LIMIT_MS = 20_000;

/** Stands before NATS. Cuts as many connections as it is told, each as soon as it subscribes. */
class Gate {
  cuts = 0;
  readonly open = new Set<net.Socket>();
  #server = net.createServer();

  async start(port: number): Promise<string> {
    this.#server.on('connection', (socket) => {
      this.open.add(socket);
      const behind = net.connect(port, '127.0.0.1');
      socket.on('data', (data) => {
        if (this.cuts > 0 && data.includes('SUB ')) {
          this.cuts--;
          socket.destroy();
        } else behind.write(data);
      });
      behind.pipe(socket);
      const end = () => {
        this.open.delete(socket);
        socket.destroy();
        behind.destroy();
      };
      for (const one of [socket, behind]) one.on('close', end).on('error', end);
    });
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was given');
    return `nats://127.0.0.1:${address.port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

describe.skipIf(noNats)('the connection of a router with NATS', () => {
  const routers = new Routers();
  let nats: NatsServer;
  afterEach(async () => {
    await routers.close();
    await nats.stop();
  });

  async function gated() {
    nats = await new NatsServer().start();
    const gate = new Gate();
    const url = await gate.start(nats.port);
    onTestFinished(() => gate.stop());
    return { gate, url };
  }

  test('is one, though the first ones were lost before they could be used', async () => {
    const { gate, url } = await gated();
    gate.cuts = 2;
    const a = await routers.opened('a', url);
    await expect.poll(() => a.bus.away, { timeout: LIMIT_MS }).toBeUndefined();
    const b = await routers.opened('b', nats.url);
    expect(await b.bus.ask('a', 'carry', '{"x":1}', LIMIT_MS)).toBe('{"x":1}');
    // Each that was lost is made again by NATS's client until it is closed.
    await expect.poll(() => gate.open.size).toBe(1);
    expect(a.bus.counters).toMatchObject({ dropped: { repeated: 0 } });
  });

  test('does not stay where the router was closed before it was there', async () => {
    const { gate, url } = await gated();
    const a = routers.made('a', url);
    const opening = a.bus.open(a);
    await a.bus.close();
    await opening;
    await expect.poll(() => gate.open.size).toBe(0);
    expect(a.changes).toEqual([]);
    await expect(a.bus.ask('b', 'carry', '{}', LIMIT_MS)).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  });
});

describe.skipIf(noNats)('a NATS that denies a router its subjects', () => {
  const routers = new Routers();
  let nats: NatsServer;
  beforeEach(() => {
    nats = new NatsServer({ ...USER, permissions: { publish: OURS, subscribe: OURS } });
  });
  afterEach(async () => {
    await routers.close();
    await nats.stop();
  });

  const router = (id: string) =>
    [id, nats.url, { place: { servers: nats.url, credentials: nats.credentials } }] as const;

  test('lets it in with these subjects and no more', async () => {
    await nats.start();
    const [a, b] = [await routers.opened(...router('a')), await routers.opened(...router('b'))];
    a.bus.tell('*', 'nodes', '1');
    await expect.poll(() => b.heard).toEqual(['a nodes 1']);
    expect(await a.bus.ask('b', 'carry', '{}', LIMIT_MS)).toBe('{}');
    expect([...a.warnings, ...b.warnings]).toEqual([]);
  });

  test.each([
    ['hear', { publish: OURS, subscribe: ['other.>'] }],
    ['say', { publish: ['other.>'], subscribe: OURS }],
    ['say to all', { publish: ['centreond.prod.router.*'], subscribe: OURS }],
  ])('refuses at its start the router that may not %s, with the subjects that it needs', async (_, permissions) => {
    await nats.start();
    await nats.permit(permissions);
    const a = routers.made(...router('a'));
    await expect(a.bus.open(a)).rejects.toThrow(/let its user publish and subscribe on centreond\.prod\.>$/);
    expect(a.bus.away).toBeDefined();
  });

  test.each([
    ['hear', { publish: OURS, subscribe: ['other.>'] }],
    ['say', { publish: ['centreond.prod.nodes', 'centreond.prod.router.a'], subscribe: OURS }],
  ])('is away for the router that may no longer %s, and there once it may again', async (_, permissions) => {
    await nats.start();
    const [a] = [await routers.opened(...router('a')), await routers.opened(...router('b'))];
    await nats.permit(permissions);
    await expect
      .poll(
        () => {
          a.bus.tell('b', 'news', '1');
          return a.bus.away;
        },
        { timeout: LIMIT_MS },
      )
      .toContain('let its user publish and subscribe on centreond.prod.>');
    await expect(a.bus.ask('b', 'carry', '{}', LIMIT_MS)).rejects.toThrow('lets this router in, but not on');
    await nats.permit({ publish: OURS, subscribe: OURS });
    await expect
      .poll(() => a.bus.ask('b', 'carry', '{"x":1}', 1000).catch(() => ''), { timeout: LIMIT_MS })
      .toBe('{"x":1}');
    // However often it was tried.
    expect(a.warnings.filter(({ message }) => message.includes('lets this router in'))).toHaveLength(1);
  });
});
