import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, type ConnectOptions, connect } from '@centreond/client';
import { CentreondError, parseData } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { newKeys, type Request, TestRouter, until, Wire } from './test-router.ts';

const routerKeys = newKeys();
const key = newKeys();
const timing = { backOffMin: 2, backOffMax: 20 };
let router: TestRouter;
let wire: Wire;
const clients: Client[] = [];

beforeEach(async () => {
  router = await new TestRouter(routerKeys).bind();
  wire = await new Wire(router.endpoint).listen();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  wire.close();
  router.close();
  expect(router.doubleFollows).toBe(0);
});

/** A client over the wire, and what it told since. */
async function alice(options: Partial<ConnectOptions> = {}): Promise<Client & { told: string[] }> {
  const client = await connect({
    address: wire.address,
    identity: 'alice',
    key,
    router: routerKeys.thumbprint,
    ...options,
    timing: { ...timing, ...options.timing },
  });
  clients.push(client);
  const told: string[] = [];
  client.on('lost', (reason) => told.push(`lost: ${reason}`));
  client.on('restored', () => told.push('restored'));
  client.on('replaced', () => told.push('replaced'));
  return Object.assign(client, { told });
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof CentreondError ? error.code : String(error)),
  );
const asked = (action: string): Request[] => router.requests.filter((request) => request.action === action);
const texts = (action: string): string[] => asked(action).map((request) => request.text);
const restored = (client: { told: string[] }, times = 1) =>
  until('a new session', () => client.told.filter((word) => word === 'restored').length >= times);

const isBeat = (message: string) => message.startsWith('[PING] [heartbeat:');

describe('a cut line', () => {
  test('is told, and a new session follows by a new handshake', async () => {
    const client = await alice();
    wire.cut();
    await restored(client);
    expect(client.told).toEqual(['lost: the connection was lost', 'restored']);
    expect(router.helloTimes).toHaveLength(2);
    expect((await client.call('ECHO')).ok).toBe(true);
  });

  test('has what was not acknowledged sent again, in its order and byte for byte, and nothing else', async () => {
    const client = await alice();
    router.onRequest = (request) => {
      if (request.action === 'DONE') router.accept(request);
    };
    await client.send('DONE');
    const pending = [client.send('FIRST', { a: 1 }), client.send('SECOND', {}, { target: 'paris-1' })];
    await until('both', () => asked('SECOND').length === 1);
    router.onRequest = (request) => router.accept(request);
    wire.cut();
    await Promise.all(pending);
    expect(asked('DONE')).toHaveLength(1);
    for (const action of ['FIRST', 'SECOND']) {
      expect(asked(action)).toHaveLength(2);
      expect(new Set(texts(action)).size).toBe(1);
    }
    expect(router.requests.slice(-2).map((request) => request.action)).toEqual(['FIRST', 'SECOND']);
  });

  test('holds back what is asked meanwhile until there is a session', async () => {
    const client = await alice();
    router.refusal = 'Not now.';
    wire.cut();
    await until('the loss', () => !client.connected);
    const call = client.call('ECHO', { late: true });
    expect(await codeOf(client.send('ECHO', {}, { timeoutMs: 20 }))).toBe('NOT_CONNECTED');
    await until('several attempts', () => router.helloTimes.length > 3);
    router.refusal = undefined;
    expect((await call).data).toEqual({ late: true });
    expect(asked('ECHO')).toHaveLength(1);
  });

  test('leaves no row out and gives none twice, however often it is cut', async () => {
    const client = await alice();
    const seen: number[] = [];
    const followed = (async () => {
      for await (const row of client.follow('t')) seen.push(row.id);
    })();
    const codes: number[] = [];
    router.onRequest = (request) => router.accept(request);
    const call = client.call('ECHO', {}, { token: 'c', onRow: (row) => codes.push(row.code) });
    await until('both FOLLOWs', () => asked('FOLLOW').length === 2);
    // With this answer here, so is the call's ACK.
    await client.ping();
    for (let cut = 1; cut <= 5; cut++) {
      for (let i = 0; i < 5; i++) router.addRow('t', 10);
      router.addRow('c', 10 * cut);
      if (cut % 2 === 0) await until('a row of this round', () => codes.at(-1) === 10 * cut);
      wire.cut();
      router.addRow('t', 11);
      router.addRow('c', 10 * cut + 1);
      await restored(client, cut);
      router.addRow('t', 12);
    }
    router.addRow('c', 2);
    router.addRow('t', 2);
    await Promise.all([followed, call]);
    const ids = (token: string) => router.rows.filter((row) => row.token === token).map((row) => row.id);
    expect(seen).toEqual(ids('t'));
    expect(codes).toEqual([10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 2]);
    // Each new FOLLOW says where the last one ended.
    const from = asked('FOLLOW').map((request) => parseData(request.data).id ?? 0);
    expect(Math.max(...from.map(Number))).toBeGreaterThan(1);
    expect(asked('ECHO')).toHaveLength(1);
  });

  test('leaves no row out for a reader that lags behind, either', async () => {
    const client = await alice();
    const rows = client.follow('t')[Symbol.asyncIterator]();
    const seen: number[] = [];
    const read = async () => seen.push((await rows.next()).value.id);
    for (let i = 0; i < 1500; i++) router.addRow('t', 10);
    await until('the FOLLOW', () => asked('FOLLOW').length === 1);
    await client.ping();
    wire.cut();
    await restored(client);
    router.addRow('t', 10);
    while (seen.length < 1501) await read();
    wire.cut();
    await restored(client, 2);
    router.addRow('t', 2);
    await read();
    expect((await rows.next()).done).toBe(true);
    expect(seen).toEqual(router.rows.map((row) => row.id));
  });

  test('does not show a BUSY that may hide an earlier yes', async () => {
    const client = await alice();
    router.onRequest = () => undefined;
    const sent = client.send('ECHO');
    await until('it', () => asked('ECHO').length === 1);
    router.onRequest = (request) =>
      asked('ECHO').length < 4 ? router.refuse(request, 'BUSY') : router.accept(request);
    wire.cut();
    expect(await codeOf(sent)).toBe('resolved');
  });
});

describe('a session is lost, too,', () => {
  test('when the router no longer knows it', async () => {
    const client = await alice();
    router.onRequest = () => undefined;
    const sent = client.send('ECHO');
    await until('it', () => asked('ECHO').length === 1);
    router.onRequest = (request) => router.accept(request);
    router.forget();
    const second = client.send('ECHO');
    expect(await Promise.all([sent, second].map(codeOf))).toEqual(['resolved', 'resolved']);
    expect(client.told[0]).toBe('lost: the router no longer knows this session');
  });

  test.each([
    ['changed', (frame: Buffer) => frame.fill(frame.readUInt8(20) ^ 1, 20, 21)],
    ['cut short', (frame: Buffer) => frame.subarray(0, -1)],
    ['one too early', undefined],
  ])('when a record comes that is %s', async (_, edit) => {
    const client = await alice();
    let broken = false;
    router.outgoing = (frame) => {
      if (broken || typeof frame === 'string' || frame[0] !== 1) return frame;
      broken = true;
      return edit?.(frame);
    };
    const answered = client.ping();
    await until('the broken record', () => broken);
    // Where a record is lacking, the next one shows it.
    if (edit === undefined) router.broadcast('[ACK] [nobody] {"code":0,"data":{}}');
    await restored(client);
    expect(await answered).toMatchObject({ id: 'central' });
    expect(client.told[0]).toMatch(/^lost: The record does not open/);
    expect(client.told).toHaveLength(2);
  });

  test('when what a record holds is no message', async () => {
    const client = await alice();
    router.broadcast('no message');
    await restored(client);
    expect(client.told[0]).toContain('malformed');
  });

  test.each(['STOPPING', 'IDLE', 'REVOKED'])('when the router says BYE for %s', async (reason) => {
    const client = await alice();
    router.broadcast(`[BYE] [] [] {"reason":"${reason}"}`);
    await restored(client);
    expect(client.told[0]).toContain(reason);
  });

  test('when the router is silent, after PINGs', async () => {
    const client = await alice({ timing: { ping: 20, silence: 60 } });
    await until('a PING', () => router.frames.some((messages) => messages.some(isBeat)));
    expect(client.told).toEqual([]);
    wire.stall();
    await restored(client);
    expect(client.told[0]).toBe('lost: the router was silent for 0.06 s');
  });

  test('but not while it is idle and its PINGs are answered', async () => {
    const client = await alice({ timing: { ping: 5, silence: 100 } });
    const pings = () => router.frames.filter((messages) => isBeat(messages[0] ?? '')).length;
    await until('many PINGs', () => pings() > 40);
    expect(client.told).toEqual([]);
  });

  test('when what only looks like life comes in clear', async () => {
    const client = await alice({ timing: { ping: 20, silence: 60 } });
    router.outgoing = (frame) => (typeof frame !== 'string' && frame[0] === 1 ? 'noise' : frame);
    await until('the loss', () => client.told.length > 0);
    expect(client.told[0]).toBe('lost: the router was silent for 0.06 s');
  });
});

describe('a handshake', () => {
  test('is not disturbed by a NOSESSION', async () => {
    router.outgoing = (frame) => {
      if (typeof frame !== 'string' || !frame.startsWith('[KEY]')) return frame;
      for (const live of router.live.values()) router.send(live.route, '[NOSESSION] []');
      return frame;
    };
    const client = await alice();
    expect(router.helloTimes).toHaveLength(1);
    expect(client.connected).toBe(true);
  });

  test('that is not answered in time has failed, and the next one succeeds', async () => {
    let dropped = 0;
    router.outgoing = (frame) =>
      typeof frame === 'string' && frame.startsWith('[KEY]') && dropped++ < 2 ? undefined : frame;
    const client = await alice({ timing: { attempt: 200 } });
    expect(client.connected).toBe(true);
    expect(router.helloTimes.length).toBeGreaterThanOrEqual(3);
  });

  test('is taken up at growing, jittered intervals', async () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.999);
    router.refusal = 'No.';
    const client = alice({ timing: { backOffMin: 4, backOffMax: 64 } });
    await until('seven attempts', () => router.helloTimes.length >= 7);
    expect(random.mock.calls.length).toBeGreaterThanOrEqual(6);
    random.mockRestore();
    router.refusal = undefined;
    await client;
    const gaps = router.helloTimes.slice(1, 7).map((time, i) => time - (router.helloTimes[i] ?? 0));
    for (const [i, least] of [8, 16, 32, 64, 64, 64].entries()) expect(gaps[i]).toBeGreaterThan(least * 0.9);
  });

  test('is taken up ever later where sessions end without a word, and at once after one that was of use', async () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.999);
    const client = await alice({ timing: { backOffMin: 4, backOffMax: 5000 } });
    const cuts: number[] = [];
    const cut = async () => {
      cuts.push(performance.now());
      wire.cut();
      await restored(client, cuts.length);
    };
    for (let i = 0; i < 7; i++) await cut();
    router.onRequest = (request) => router.accept(request);
    await client.send('ECHO');
    await cut();
    random.mockRestore();
    const gaps = cuts.map((time, i) => (router.helloTimes[i + 1] ?? 0) - time);
    for (const [i, least] of [8, 16, 32, 64, 128, 256, 512].entries()) expect(gaps[i]).toBeGreaterThan(least * 0.9);
    expect(gaps[7]).toBeLessThan(512);
  });

  test('is renewed while the session goes on, and the BYE of the older session is not taken for a stranger', async () => {
    const client = await alice({ timing: { renew: 150 } });
    router.onRequest = (request) => router.accept(request);
    const call = client.call('ECHO', {}, { token: 'c' });
    await until('the renewals', () => router.helloTimes.length >= 3);
    await until('the latest', () => [...router.live.values()].some((live) => live.proven && live.follows.has('c')));
    router.addRow('c', 2);
    expect((await call).ok).toBe(true);
    await until('one connection', () => wire.open === 1);
    expect(client.told).toEqual([]);
    expect(client.connected).toBe(true);
    expect(asked('ECHO')).toHaveLength(1);
  });
});

describe('a client that is replaced', () => {
  test('gives way: rejects what is pending, stays away for its time, and comes back', async () => {
    const replaced = 300;
    const first = await alice({ timing: { replaced } });
    router.onRequest = () => undefined;
    const pending = [first.send('ECHO'), first.call('ECHO'), first.follow('t')[Symbol.asyncIterator]().next()].map(
      codeOf,
    );
    await until('them', () => asked('FOLLOW').length === 2);
    const second = await alice({ timing: { replaced } });
    expect(await Promise.all(pending)).toEqual(Array(3).fill('CLIENT_REPLACED'));
    const since = performance.now();
    expect(first.told).toEqual(['replaced']);
    expect(await codeOf(first.send('ECHO'))).toBe('CLIENT_REPLACED');
    await second.close();
    router.onRequest = (request) => router.accept(request);
    await restored(first);
    expect((router.helloTimes.at(-1) ?? 0) - since).toBeGreaterThan(replaced - 50);
    expect(router.helloTimes).toHaveLength(3);
    expect(await codeOf(first.send('ECHO'))).toBe('resolved');
  });
});

describe('a client whose key is revoked', () => {
  test('rejects what is pending as soon as the router refuses the key, and comes back once it is let in again', async () => {
    const client = await alice();
    router.onRequest = () => undefined;
    const pending = [client.send('ECHO'), client.call('ECHO'), client.follow('t')[Symbol.asyncIterator]().next()].map(
      codeOf,
    );
    await until('them', () => asked('FOLLOW').length === 2);
    router.refusal = 'The handshake was refused.';
    router.broadcast('[BYE] [] [] {"reason":"REVOKED"}');
    expect(await Promise.all(pending)).toEqual(Array(3).fill('KEY_REVOKED'));
    expect(await codeOf(client.send('ECHO'))).toBe('KEY_REVOKED');
    router.onRequest = (request) => router.accept(request);
    router.refusal = undefined;
    await restored(client);
    expect(await codeOf(client.send('ECHO'))).toBe('resolved');
  });

  test('goes on as before where only its grant has changed', async () => {
    const client = await alice();
    router.onRequest = () => undefined;
    const call = client.call('ECHO', {}, { token: 'c' });
    await until('it', () => asked('FOLLOW').length === 1);
    router.onRequest = (request) => router.accept(request);
    router.broadcast('[BYE] [] [] {"reason":"REVOKED"}');
    await restored(client);
    router.addRow('c', 2);
    expect((await call).ok).toBe(true);
  });
});

describe('STOPPING', () => {
  test('is not shown where the successor can be asked', async () => {
    const client = await alice();
    router.onRequest = (request) => router.refuse(request, 'STOPPING');
    const pending = [client.send('ECHO'), client.call('ECHO')].map(codeOf);
    await until('both', () => asked('ECHO').length === 2);
    router.onRequest = (request) => {
      router.accept(request);
      router.addRow(request.token, 2);
    };
    router.broadcast('[BYE] [] [] {"reason":"STOPPING"}');
    expect(await Promise.all(pending)).toEqual(['resolved', 'resolved']);
  });

  test('is shown where the caller wants it', async () => {
    const client = await alice({ retryStopping: false });
    router.onRequest = (request) => router.refuse(request, 'STOPPING');
    expect(await codeOf(client.send('ECHO'))).toBe('STOPPING');
  });
});

describe('the internal door', () => {
  test('is spoken to in clear and in packs, without a handshake, and reconnected to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'centreond-client-'));
    try {
      const address = `ipc://${join(folder, 'router.ipc')}`;
      const local = await new TestRouter(routerKeys).bind(address);
      const client = await connect({ address, timing });
      clients.push(client);
      expect(client).toMatchObject({
        id: 'central',
        identity: '@local',
        roles: ['admin'],
        routerFingerprint: undefined,
      });
      const before = local.frames.length;
      const outcomes = await Promise.all(Array.from({ length: 200 }, (_, i) => client.call('ECHO', { i })));
      expect(outcomes.map((outcome) => outcome.data)).toEqual(Array.from({ length: 200 }, (_, i) => ({ i })));
      expect(local.frames.slice(before).map((messages) => messages.length)).toEqual([128, 128, 128, 16]);
      local.close();
      await until('the loss', () => !client.connected);
      const successor = await new TestRouter(routerKeys).bind(address);
      expect((await client.call('ECHO', { i: -1 })).data).toEqual({ i: -1 });
      expect(successor.frames.flat().some((text) => text.startsWith('[HELO]'))).toBe(false);
      successor.close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
