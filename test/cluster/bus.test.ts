import { failure } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Bus, BusOptions } from '../../core/dist/cluster/bus.js';
import { Unanswered } from '../../core/dist/fleet/pending.js';
import { Lines, refusalOf } from '../core/cluster/stage.ts';
import { Routers } from './bus-stage.ts';
import { NatsServer, type NatsUser, noNats } from './nats-server.ts';

const MIB = 2 ** 20;
const LIMIT_MS = 20_000;
/** NATS is found to be away: it was silent for twice as long as a ping may take. */
const FOUND_AWAY_MS = 30_000;
const USER: NatsUser = { user: 'central', password: 'a word of the bus' };

describe.skipIf(noNats)('the bus between routers', () => {
  const routers = new Routers();
  let nats: NatsServer;
  beforeEach(async () => {
    nats = await new NatsServer().start();
  });
  afterEach(async () => {
    await routers.close();
    await nats.stop();
  });

  async function opened(id: string, change: Partial<BusOptions> = {}) {
    const log = new Lines();
    const ear = await routers.opened(id, nats.url, { log: log as never, ...change });
    return { bus: ear.bus, log, ear };
  }

  const there = (bus: Bus) => expect.poll(() => bus.away, { timeout: LIMIT_MS }).toBeUndefined();
  const away = (bus: Bus) => expect.poll(() => bus.away, { timeout: FOUND_AWAY_MS }).toBeDefined();

  test('brings a question to the router that it is for, and its answer back', async () => {
    const [a, b, c] = [await opened('a'), await opened('b.with.dots'), await opened('c')];
    b.ear.answers = async (from, what, text) => JSON.stringify({ from, what, text });
    c.ear.answers = vi.fn(c.ear.answers);
    expect(JSON.parse(await a.bus.ask('b.with.dots', 'carry', '{"x":"ü"}', LIMIT_MS))).toEqual({
      ...{ from: 'a', what: 'carry', text: '{"x":"ü"}' },
    });
    expect(c.ear.answers).not.toHaveBeenCalled();
    expect([a.ear.changes, b.ear.changes]).toEqual([[undefined], [undefined]]);
  });

  test('brings each answer to its question, in whatever order they come', async () => {
    const [a, b] = [await opened('a'), await opened('b')];
    const waiting: (() => void)[] = [];
    b.ear.answers = (_from, _what, text) => new Promise((resolve) => waiting.unshift(() => resolve(text)));
    const asked = Array.from({ length: 100 }, (_, i) => a.bus.ask('b', 'carry', `{"i":${i}}`, LIMIT_MS));
    await expect.poll(() => waiting.length).toBe(100);
    for (const answer of waiting) answer();
    expect(await Promise.all(asked)).toEqual(asked.map((_, i) => `{"i":${i}}`));
  });

  test('brings refusals back with their code, and what fails by a bug as INTERNAL, which is logged there', async () => {
    const [a, b] = [await opened('a'), await opened('b')];
    b.ear.answers = async () => {
      throw failure('BUSY', { what: 'the list', limit: 1 });
    };
    expect(await refusalOf(a.bus.ask('b', 'carry', '{}', LIMIT_MS))).toBe('BUSY');
    b.ear.answers = async () => {
      throw new Error('a bug');
    };
    expect(await refusalOf(a.bus.ask('b', 'carry', '{}', LIMIT_MS))).toBe('INTERNAL');
    expect(b.log.of('error')).toEqual([expect.stringContaining('what another router asked (carry) failed: a bug')]);
  });

  test('leaves a question unanswered where the other does not know, is not there, or is gone', async () => {
    const [a, b] = [await opened('a'), await opened('b')];
    b.ear.answers = async () => {
      throw new Unanswered('NOT_ACKNOWLEDGED', 'nobody knows');
    };
    for (const to of ['b', 'nobody']) {
      await expect(a.bus.ask(to, 'carry', '{}', 200)).rejects.toBeInstanceOf(Unanswered);
    }
    b.ear.answers = () => new Promise(() => {});
    const asked = a.bus.ask('b', 'carry', '{}', LIMIT_MS);
    a.bus.drop('b');
    await expect(asked).rejects.toBeInstanceOf(Unanswered);
  });

  test('tells one router, or all others of the cluster, in order', async () => {
    const [a, b, c] = [await opened('a'), await opened('b'), await opened('c')];
    const other = await opened('d', { cluster: 'prod.test' });
    for (let i = 0; i < 50; i++) {
      a.bus.tell('*', 'nodes', `${i}`);
      a.bus.tell('b', 'news', `${i}`);
    }
    const both = Array.from({ length: 50 }, (_, i) => [`a nodes ${i}`, `a news ${i}`]);
    await expect.poll(() => b.ear.heard.length).toBe(100);
    await expect.poll(() => c.ear.heard.length).toBe(50);
    expect(b.ear.heard).toEqual(both.flat());
    expect(c.ear.heard).toEqual(both.map(([all]) => all));
    expect([a.ear.heard, other.ear.heard]).toEqual([[], []]);
  });

  test('brings messages of 5 MiB whole, each way, several at once', async () => {
    const [a, b] = [await opened('a'), await opened('b')];
    const big = (mark: string) => JSON.stringify({ mark, text: 'ü'.repeat((5 * MIB) / 2) });
    const texts = ['1', '2', '3'].map(big);
    const answers = await Promise.all(texts.map((text) => a.bus.ask('b', 'carry', text, LIMIT_MS)));
    expect(answers.map((answer, i) => answer === texts[i])).toEqual([true, true, true]);
    a.bus.tell('*', 'nodes', big('told'));
    await expect.poll(() => b.ear.heard.map((text) => text.length)).toEqual([`a nodes ${big('told')}`.length]);
  });

  test('is not disturbed by a listener that does not understand what it is told', async () => {
    const [a, b] = [await opened('a'), await opened('b')];
    b.ear.told = (_from, _what, text) => void JSON.parse(text);
    a.bus.tell('b', 'news', 'this is no JSON');
    expect(await a.bus.ask('b', 'carry', '{}', LIMIT_MS)).toBe('{}');
    expect(b.log.of('warn')).toEqual([expect.stringContaining('what a told (news) is not understood')]);
    expect(b.ear.changes).toEqual([undefined]);
  });

  test('says nothing more once it is closed', async () => {
    const a = await opened('a');
    const asked = a.bus.ask('nobody', 'carry', '{}', LIMIT_MS);
    const closing = a.bus.close();
    await expect(asked).rejects.toBeInstanceOf(Unanswered);
    a.bus.tell('b', 'news', '1');
    await closing;
    a.bus.tell('b', 'news', '2');
    expect(await refusalOf(a.bus.ask('b', 'carry', '{}', LIMIT_MS))).toBe('NODE_UNREACHABLE');
    expect(a.ear.changes).toEqual([undefined]);
  });

  describe('where NATS goes away', () => {
    test('refuses at once what is asked, with the reason, and goes on by itself once it is started again', async () => {
      const [a, b] = [await opened('a'), await opened('b')];
      b.ear.answers = () => new Promise(() => {});
      const unanswered = expect(a.bus.ask('b', 'carry', '{}', LIMIT_MS)).rejects.toBeInstanceOf(Unanswered);
      await nats.kill();
      await unanswered;
      const reason = `the connection to NATS at ${nats.url} is lost`;
      expect(a.ear.changes).toEqual([undefined, reason]);
      await expect(a.bus.ask('b', 'carry', '{}', LIMIT_MS)).rejects.toThrow(`is not reached: ${reason}`);
      a.bus.tell('b', 'news', 'lost');
      await nats.start();
      await Promise.all([there(a.bus), there(b.bus)]);
      b.ear.answers = async () => '{"again":true}';
      expect(await a.bus.ask('b', 'carry', '{}', LIMIT_MS)).toBe('{"again":true}');
      expect([a.ear.changes, b.ear.heard]).toEqual([[undefined, reason, undefined], []]);
      expect(a.log.of('warn')).toHaveLength(1);
    });

    test('is opened though NATS is not there yet, and goes on once it is', async () => {
      await nats.kill();
      const [a, b] = [await opened('a'), await opened('b')];
      expect(a.bus.away).toContain(`no NATS answers at ${nats.url}`);
      expect(await refusalOf(a.bus.ask('b', 'carry', '{}', LIMIT_MS))).toBe('NODE_UNREACHABLE');
      await nats.start();
      await Promise.all([there(a.bus), there(b.bus)]);
      expect(await a.bus.ask('b', 'carry', '{"x":1}', LIMIT_MS)).toBe('{"x":1}');
      // However often it was tried.
      expect(a.log.of('warn')).toHaveLength(1);
    });

    test('finds that it says nothing, though its connections stand, and goes on once it speaks', async () => {
      const [a, b] = [await opened('a'), await opened('b')];
      await nats.pause();
      try {
        await away(a.bus);
        expect(await refusalOf(a.bus.ask('b', 'carry', '{}', LIMIT_MS))).toBe('NODE_UNREACHABLE');
      } finally {
        nats.resume();
      }
      await Promise.all([there(a.bus), there(b.bus)]);
      await expect
        .poll(() => a.bus.ask('b', 'carry', '{"x":1}', 1000).catch(() => ''), { timeout: LIMIT_MS })
        .toBe('{"x":1}');
    });
  });
});

describe.skipIf(noNats)('the NATS that lets in only whom it knows', () => {
  const routers = new Routers();
  let nats: NatsServer;
  beforeEach(async () => {
    nats = await new NatsServer(USER).start();
  });
  afterEach(async () => {
    await routers.close();
    await nats.stop();
  });

  async function opened(credentials: string | undefined) {
    const log = new Lines();
    const ear = routers.made('a', nats.url, { place: { servers: nats.url, credentials }, log: log as never });
    const reason = await ear.bus.open(ear).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : ''),
    );
    return { reason, bus: ear.bus, log, ear };
  }

  test('lets a router in with its credentials', async () => {
    const { reason, bus, log } = await opened(nats.credentials);
    expect([reason, bus.away]).toEqual([undefined, undefined]);
    await bus.close();
    expect(log.lines.join()).not.toContain(USER.password);
  });

  test.each([
    ['none', undefined, 'set core.cluster.credentials to what it is to be told'],
    ['a wrong password', 'central:not this one', 'correct what core.cluster.credentials names'],
    ['a token', 'some-token', 'correct what core.cluster.credentials names'],
  ])(
    'refuses one with %s at its start, by a sentence that says what to change, and never the secret',
    async (_, credentials, remedy) => {
      const { reason, bus, log, ear } = await opened(credentials);
      expect(reason).toContain(`the NATS at ${nats.url} does not let this router in`);
      expect(reason).toContain(remedy);
      await bus.close();
      const said = [reason, ...log.lines, ...ear.changes].join('\n');
      for (const secret of ['not this one', 'some-token', USER.password]) expect(said).not.toContain(secret);
    },
  );
});
