import { type Client, type ClusterOptions, connect } from '@centreond/client';
import { CentreondError, parseData } from '@centreond/protocol';
import { joinKeyOf } from '@centreond/protocol/channel';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newKeys, type Request, TestRouter, until, Wire } from './test-router.ts';

const key = newKeys();
const keysOf = { a: newKeys(), b: newKeys() };
const timing = { backOffMin: 2, backOffMax: 20 };
let a: TestRouter;
let b: TestRouter;
let toA: Wire;
let toB: Wire;
const clients: Client[] = [];

beforeEach(async () => {
  [a, b] = await Promise.all([new TestRouter(keysOf.a).bind(), new TestRouter(keysOf.b).bind()]);
  [a.id, b.id] = ['a', 'b'];
  [toA, toB] = await Promise.all([new Wire(a.endpoint).listen(), new Wire(b.endpoint).listen()]);
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  for (const wire of [toA, toB]) wire.close();
  for (const router of [a, b]) {
    router.close();
    expect(router.doubleFollows).toBe(0);
  }
});

function optionsOf(options: Partial<ClusterOptions> = {}): ClusterOptions {
  const routers = [
    { address: toA.address, fingerprint: keysOf.a.thumbprint },
    { address: toB.address, fingerprint: keysOf.b.thumbprint },
  ];
  return { routers, identity: 'alice', key, ...options, timing: { ...timing, ...options.timing } };
}

/** A client that knows both routers, and what it told since. */
async function alice(options: Partial<ClusterOptions> = {}): Promise<Client & { told: string[] }> {
  const client = await connect(optionsOf(options));
  clients.push(client);
  const told: string[] = [];
  client.on('lost', (reason) => told.push(`lost: ${reason}`));
  client.on('restored', () => told.push(`restored at ${client.id}`));
  client.on('renewed', () => told.push(`renewed at ${client.id}`));
  return Object.assign(client, { told });
}

const asked = (router: TestRouter, action: string): Request[] =>
  router.requests.filter((request) => request.action === action);
const told = (client: { told: string[] }, word: string) => until(word, () => client.told.includes(word));

/** Neither its sessions nor its port are there any more. */
function kill(router: TestRouter, wire: Wire): void {
  router.close();
  wire.close();
}

/** A row in the history that both have. */
function addRow(token: string, code: number): void {
  a.addRow(token, code);
  b.addRow(token, code);
}

function failureOf(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  return promise.then(
    () => ({ code: 'resolved', message: '' }),
    (error: unknown) => {
      if (error instanceof CentreondError) return error;
      throw error;
    },
  );
}

describe('a client of several routers', () => {
  test('begins with the first and stays with it', async () => {
    const client = await alice({ timing: { renew: 50 } });
    expect(client).toMatchObject({ id: 'a', address: toA.address, routerFingerprint: keysOf.a.thumbprint });
    await until('renewals', () => client.told.length >= 3);
    expect(new Set(client.told)).toEqual(new Set(['renewed at a']));
    expect(b.helloTimes).toEqual([]);
  });

  test('has its first session with the second where nobody listens at the first, or its key is another', async () => {
    toA.close();
    expect(await alice()).toMatchObject({ id: 'b', address: toB.address });
    const stranger = { address: a.endpoint, fingerprint: newKeys().thumbprint };
    const { routers } = optionsOf();
    expect((await alice({ routers: [stranger, ...routers.slice(1)] })).id).toBe('b');
  });

  test('moves on where the router ends the session, and back only at the next loss', async () => {
    const client = await alice();
    a.broadcast('[BYE] [] [] {"reason":"STOPPING"}');
    await told(client, 'restored at b');
    expect(client).toMatchObject({ id: 'b', address: toB.address, routerFingerprint: keysOf.b.thumbprint });
    expect((await client.call('ECHO', { at: 'b' })).data).toEqual({ at: 'b' });
    const hellos = a.helloTimes.length;
    await client.ping();
    expect(a.helloTimes).toHaveLength(hellos);
    b.broadcast('[BYE] [] [] {"reason":"STOPPING"}');
    await told(client, 'restored at a');
  });

  test('moves on where the router no longer answers PINGs', async () => {
    const client = await alice({ timing: { ping: 20, silence: 60 } });
    a.isMute = true;
    await told(client, 'restored at b');
    expect(client.told).toEqual(['lost: the router was silent for 0.06 s', 'restored at b']);
  });

  test('sends again at the next what was not acknowledged, byte for byte, and nothing else', async () => {
    const client = await alice();
    await client.call('DONE');
    a.onRequest = () => undefined;
    const pending = [client.send('FIRST', { n: 1 }), client.call('SECOND', {}, { target: 'paris-1' })];
    await until('both', () => asked(a, 'SECOND').length === 1);
    kill(a, toA);
    await Promise.all(pending);
    expect(b.requests.map(({ action }) => action)).toEqual(['FIRST', 'SECOND', 'FOLLOW']);
    for (const action of ['FIRST', 'SECOND']) expect(asked(b, action)[0]?.text).toBe(asked(a, action)[0]?.text);
  });

  test('goes on with each follow after the last row that was seen', async () => {
    const client = await alice();
    const seen: number[] = [];
    const followed = (async () => {
      for await (const row of client.follow('t')) seen.push(row.id);
    })();
    a.onRequest = (request) => a.accept(request);
    const codes: number[] = [];
    const call = client.call('ECHO', {}, { token: 'c', onRow: ({ code }) => codes.push(code) });
    await until('both FOLLOWs', () => asked(a, 'FOLLOW').length === 2);
    await client.ping();
    for (const code of [10, 11]) for (const token of ['t', 'c']) addRow(token, code);
    await until('the rows', () => seen.length === 2 && codes.length === 2);
    kill(a, toA);
    addRow('t', 12);
    await told(client, 'restored at b');
    addRow('c', 13);
    addRow('c', 2);
    addRow('t', 2);
    await Promise.all([followed, call]);
    expect(codes).toEqual([10, 11, 13, 2]);
    expect(seen).toEqual(b.rows.filter(({ token }) => token === 't').map(({ id }) => id));
    expect(asked(b, 'ECHO')).toEqual([]);
    expect(asked(b, 'FOLLOW').map(({ data }) => Number(parseData(data).id))).toEqual([3, 4]);
  });

  test('holds back what is asked while there is no router, and takes the one that comes first', async () => {
    const client = await alice();
    a.refusal = b.refusal = 'Not now.';
    toA.cut();
    await until('attempts at both', () => a.helloTimes.length >= 3 && b.helloTimes.length >= 2);
    const call = client.call('ECHO', { late: true });
    b.refusal = undefined;
    expect((await call).data).toEqual({ late: true });
    expect(client.id).toBe('b');
  });

  test('gives up a renewal at a router that falls silent, and moves on', async () => {
    const client = await alice({ timing: { renew: 100, ping: 40, silence: 120, attempt: 60_000 } });
    a.outgoing = (frame) => (typeof frame === 'string' ? undefined : frame);
    await until('a renewal that is not answered', () => a.helloTimes.length >= 2);
    a.isMute = true;
    await told(client, 'restored at b');
  });

  test('goes on at the next where its key was revoked at one, and is told so once each refuses it', async () => {
    const client = await alice();
    a.refusal = 'The handshake was refused.';
    a.broadcast('[BYE] [] [] {"reason":"REVOKED"}');
    await told(client, 'restored at b');
    b.onRequest = () => undefined;
    const sent = failureOf(client.send('ECHO'));
    await until('it', () => asked(b, 'ECHO').length === 1);
    b.refusal = 'The handshake was refused.';
    b.broadcast('[BYE] [] [] {"reason":"REVOKED"}');
    expect((await sent).code).toBe('KEY_REVOKED');
  });
});

describe('connect with several routers', () => {
  test('names each of them, and what became of it, where none is reached', async () => {
    toA.close();
    b.refusal = 'No.';
    const failed = await failureOf(connect(optionsOf({ timeoutMs: 300 })));
    expect(failed.code).toBe('NOT_CONNECTED');
    expect(failed.message).toContain(`No session with ${toA.address} or ${toB.address} within 0.3 s`);
    expect(failed.message).toContain(`${toA.address}: nobody listens at this address; ${toB.address}: No`);
  });

  test('is refused once one has refused every handshake for a time and the others are not there', async () => {
    toA.close();
    b.refusal = 'No.';
    expect((await failureOf(connect(optionsOf({ timing: { refusals: 50 } })))).code).toBe('HANDSHAKE_REFUSED');
  });

  test('pins each router on first use, and tells which', async () => {
    const pinned: string[][] = [];
    const routers = [toA, toB].map(({ address }) => ({ address, fingerprint: 'first-use' }));
    const client = await alice({
      routers,
      onPinned: (fingerprint, address) => pinned.push([fingerprint, address]),
    });
    toA.cut();
    await told(client, 'restored at b');
    toB.cut();
    await told(client, 'restored at a');
    expect(pinned).toEqual([
      [keysOf.a.thumbprint, toA.address],
      [keysOf.b.thumbprint, toB.address],
    ]);
  });

  test('joins at whichever knows the token, and is refused once each has refused it', async () => {
    const join = 'Q1dPykjToeSXT2ZjYjLhXCGKwpA8CXX9';
    [a.admitted, b.admitted] = [new Set(), new Set()];
    expect((await failureOf(connect(optionsOf({ join })))).code).toBe('HANDSHAKE_REFUSED');
    expect([a.helloTimes.length, b.helloTimes.length]).toEqual([2, 2]);
    b.joinKey = joinKeyOf(join);
    expect((await alice({ join })).id).toBe('b');
    expect(b.admitted).toContain(key.thumbprint);
  });

  test('takes no empty list, no address that is none, and no router without a fingerprint', async () => {
    const [first, second] = optionsOf().routers;
    if (!first || !second) throw new Error('there are two');
    const messageOf = async (routers: ClusterOptions['routers']) =>
      (await failureOf(connect(optionsOf({ routers })))).message;
    expect(await messageOf([])).toContain('routers is empty');
    expect(await messageOf([first, { ...second, address: 'ipc:///tmp/b' }])).toContain('ipc:///tmp/b is no address');
    expect(await messageOf([first, { ...second, fingerprint: 'short' }])).toContain(
      "the router's fingerprint is needed",
    );
  });

  test('takes a list of one as it takes an address', async () => {
    const client = await alice({ routers: optionsOf().routers.slice(0, 1) });
    toA.cut();
    await told(client, 'restored at a');
    toA.close();
    await until('the loss', () => !client.connected);
    const sent = failureOf(client.send('ECHO', {}, { timeoutMs: 200 }));
    expect((await sent).message).toContain(
      `No session with ${toA.address} within 0.2 s: nobody listens at this address.`,
    );
  });
});
