import { generateKeyPairSync } from 'node:crypto';
import { type Client, type ConnectOptions, connect } from '@centreond/client';
import { CentreondError, type HistoryRow, parseData } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newKeys, type Request, TestRouter, until } from './test-router.ts';

const routerKeys = newKeys();
const key = newKeys();
let router: TestRouter;
const clients: Client[] = [];

beforeEach(async () => {
  router = await new TestRouter(routerKeys).bind();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  router.close();
  expect(router.doubleFollows).toBe(0);
});

async function alice(options: Partial<ConnectOptions> = {}): Promise<Client> {
  const client = await connect({
    address: router.endpoint,
    identity: 'alice',
    key,
    router: routerKeys.thumbprint,
    ...options,
  });
  clients.push(client);
  return client;
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof CentreondError ? error.code : String(error)),
  );

/** The requests that bear no read of the client's own. */
const asked = (action: string): Request[] => router.requests.filter((request) => request.action === action);

describe('a session', () => {
  test('tells what the router said of itself and of the client', async () => {
    const client = await alice();
    expect(client).toMatchObject({
      id: 'central',
      identity: 'alice',
      roles: ['client'],
      maxMessage: 1024 * 1024,
      routerFingerprint: routerKeys.thumbprint,
      connected: true,
    });
    expect(await client.ping()).toMatchObject({ id: 'central', hostname: 'here', version: '1.0.0' });
  });

  test.each(['aes-256-gcm', 'chacha20-poly1305'] as const)(
    'is made over %s when only that is offered',
    async (cipher) => {
      const client = await alice({ ciphers: [cipher] });
      expect(await client.call('ECHO', { over: cipher })).toMatchObject({ ok: true, data: { over: cipher } });
      expect([...router.live.values()].map((live) => live.session?.cipher)).toEqual([cipher]);
    },
  );

  test('takes its key as a PEM text, too', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const client = await alice({ key: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString() });
    expect(client.connected).toBe(true);
  });

  test('asks for the key again after 250 ms if its question was dropped', async () => {
    let dropped = 0;
    router.outgoing = (frame) => (String(frame).startsWith('[PUBKEY]') && dropped++ < 2 ? undefined : frame);
    const startedAt = performance.now();
    const client = await alice({ router: 'first-use' });
    expect(client.connected).toBe(true);
    expect(dropped).toBe(3);
    expect(performance.now() - startedAt).toBeGreaterThan(450);
  });

  test('pins the first router seen, reports it, and takes no other one after', async () => {
    const pinned: string[] = [];
    const client = await alice({ router: 'first-use', onPinned: (fingerprint) => pinned.push(fingerprint) });
    expect(client.routerFingerprint).toBe(routerKeys.thumbprint);
    expect(pinned).toEqual([routerKeys.thumbprint]);
    expect(router.frames[0]).toEqual(['[GETPUBKEY]']);
    const { endpoint } = router;
    router.close();
    const stranger = new TestRouter();
    await until('the port', () => !client.connected);
    await rebind(stranger, endpoint);
    await until('a HELO', () => stranger.frames.length > 0);
    expect(client.connected).toBe(false);
    // It still asks for the router that it pinned: the stranger finds a HELO that is not for it.
    expect(stranger.frames.every(([frame]) => frame?.startsWith('[HELO] '))).toBe(true);
    stranger.close();
    router = await rebind(new TestRouter(routerKeys), endpoint);
    await until('the pinned router', () => client.connected);
    expect(pinned).toEqual([routerKeys.thumbprint]);
  });
});

async function rebind(next: TestRouter, endpoint: string): Promise<TestRouter> {
  for (;;) {
    try {
      return await next.bind(endpoint);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

describe('connecting fails', () => {
  const timing = { backOffMin: 5, backOffMax: 10 };

  test('with the words of the refusal once the time is over', async () => {
    router.refusal = 'Check the key.';
    const refused = alice({ timeoutMs: 300, timing });
    await expect(refused).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
    await expect(refused).rejects.toThrow('Check the key.');
    expect(router.frames.length).toBeGreaterThan(1);
  });

  test('with HANDSHAKE_REFUSED once it was refused for as long as the options say', async () => {
    router.refusal = 'Check the key.';
    const refused = alice({ timeoutMs: 600_000, timing: { ...timing, refusals: 100 } });
    await expect(refused).rejects.toMatchObject({ code: 'HANDSHAKE_REFUSED' });
    expect(router.frames.length).toBeGreaterThan(2);
  });

  test('but not while the time is not over: a key accepted meanwhile gets in', async () => {
    router.refusal = 'Not yet.';
    const client = alice({ timing });
    await until('some refusals', () => router.helloTimes.length > 2);
    router.refusal = undefined;
    expect((await client).connected).toBe(true);
  });

  test('against a router whose key is not the pinned one', async () => {
    const router = newKeys().thumbprint;
    await expect(alice({ router, timeoutMs: 200, timing })).rejects.toThrow(routerKeys.thumbprint);
  });

  test('where nobody listens', async () => {
    const { endpoint } = router;
    router.close();
    await expect(alice({ address: endpoint, timeoutMs: 200, timing })).rejects.toThrow('nobody listens');
  });

  test('where nobody answers, having tried again meanwhile', async () => {
    router.isMute = true;
    const client = alice({ timeoutMs: 200, timing: { ...timing, attempt: 20 } });
    await expect(client).rejects.toThrow('no answer within 0.02 s');
  });

  test.each([
    ['BROKEN_HANDSHAKE', { identity: '..' }],
    ['BROKEN_HANDSHAKE', { identity: 'a b' }],
    ['BROKEN_HANDSHAKE', { router: 'nobody' }],
    ['BROKEN_KEY', { key: 'no PEM' }],
    ['NOT_CONNECTED', { address: 'smoke://signals' }],
  ])('at once with %s for options that cannot work: %j', async (code, options) => {
    expect(await codeOf(alice({ ...options, timeoutMs: 60_000 }))).toBe(code);
  });

  test('when its signal aborts', async () => {
    router.isMute = true;
    const abort = new AbortController();
    const client = alice({ signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(client).rejects.toThrow('enough');
    await expect(alice({ signal: abort.signal })).rejects.toThrow('enough');
  });
});

describe('a request', () => {
  test('resolves with its ACK, under the token it was given', async () => {
    const client = await alice();
    router.onRequest = (request) => router.accept(request, '{"duplicate":true}');
    expect(await client.send('ECHO', { a: 1 }, { token: 't-1', target: 'paris-1' })).toEqual({
      token: 't-1',
      data: { duplicate: true },
    });
    expect(router.requests.at(-1)?.text).toBe('[ECHO] [t-1] [paris-1] {"a":1}');
  });

  test('gets a UUIDv7 of its own otherwise, each one later than the one before', async () => {
    const client = await alice();
    const { token } = await client.send('ECHO');
    const next = await client.send('ECHO');
    expect(token).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(next.token.slice(0, 13) >= token.slice(0, 13)).toBe(true);
  });

  test('bears its envelope under "$"', async () => {
    const client = await alice();
    await client.send('ECHO', { a: 1 }, { envelope: { hold: true, deadline: 9 } });
    expect(parseData(router.requests.at(-1)?.data ?? '')).toEqual({ a: 1, $: { hold: true, deadline: 9 } });
  });

  test('rejects with the code and the words of the refusal', async () => {
    const client = await alice();
    router.onRequest = (request) => router.refuse(request, 'FORBIDDEN');
    await expect(client.send('ECHO')).rejects.toMatchObject({ code: 'FORBIDDEN', message: 'FORBIDDEN it is' });
    await expect(client.call('ECHO')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test.each(['BUSY', 'NOT_READY'])('shows a first %s to its caller', async (code) => {
    const client = await alice();
    router.onRequest = (request) => router.refuse(request, code);
    expect(await codeOf(client.send('ECHO'))).toBe(code);
  });

  test('that is no message, or too large, does not leave', async () => {
    router.maxMessage = 1000;
    const client = await alice();
    const before = router.frames.length;
    expect(await codeOf(client.send('echo'))).toBe('MALFORMED_FRAME');
    expect(await codeOf(client.send('ECHO', {}, { token: 'a b' }))).toBe('MALFORMED_FRAME');
    expect(await codeOf(client.send('ECHO', {}, { token: '' }))).toBe('MALFORMED_FRAME');
    expect(await codeOf(client.send('ECHO', {}, { target: 'a/b' }))).toBe('MALFORMED_FRAME');
    expect(await codeOf(client.send('ECHO', []))).toBe('MALFORMED_FRAME');
    // 1000 bytes fit, 1001 do not; two bytes make an é.
    const room = 1000 - '[ECHO] [t] [] {"a":""}'.length;
    expect(await codeOf(client.send('ECHO', { a: 'é'.repeat(room / 2 + 1) }, { token: 't' }))).toBe('TOO_LARGE');
    expect(await codeOf(client.send('ECHO', { a: 'x'.repeat(room) }, { token: 't' }))).toBe('resolved');
    expect(router.frames.length).toBe(before + 1);
  });

  test('of more keys and elements than a router takes does not leave; a page of a link does', async () => {
    const client = await alice();
    const before = router.frames.length;
    const rows = Array.from({ length: 50_000 }, () => 1);
    await expect(client.send('ECHO', { rows })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringContaining('more than 50000 keys and elements'),
    });
    await expect(client.call('ECHO', { rows })).rejects.toMatchObject({ code: 'INVALID_DATA' });
    expect(router.frames.length).toBe(before);
    expect(await codeOf(client.send('ECHO', { rows: rows.slice(1) }))).toBe('resolved');
    expect(await codeOf(client.send('SETLOGS', { rows }))).toBe('resolved');
  });

  test('waits for its first session for longer than setTimeout takes', async () => {
    const connecting = alice({ timeoutMs: 60 * 24 * 3600 * 1000 });
    expect((await connecting).connected).toBe(true);
  });

  test('waits no longer than it may', async () => {
    const client = await alice();
    router.onRequest = () => undefined;
    expect(await codeOf(client.send('ECHO', {}, { timeoutMs: 20 }))).toBe('NOT_ACKNOWLEDGED');
    expect(await codeOf(client.call('ECHO', {}, { timeoutMs: 20 }))).toBe('NOT_ACKNOWLEDGED');
    const abort = new AbortController();
    const { signal } = abort;
    const both = [client.send('ECHO', {}, { signal }), client.call('ECHO', {}, { signal })].map(codeOf);
    abort.abort(new Error('enough'));
    expect(await Promise.all(both)).toEqual(['Error: enough', 'Error: enough']);
    await expect(client.send('ECHO', {}, { signal: abort.signal })).rejects.toThrow('enough');
  });

  test('is refused with BUSY beyond maxPending, and has room again afterwards', async () => {
    const client = await alice({ maxPending: 3 });
    const held: Request[] = [];
    router.onRequest = (request) => held.push(request);
    const first = client.send('ECHO');
    const call = client.call('ECHO');
    const rows = client.follow('t')[Symbol.asyncIterator]();
    expect(await codeOf(client.send('ECHO'))).toBe('BUSY');
    await until('both requests', () => held.length === 2);
    for (const request of held) router.accept(request);
    await first;
    // The call is acknowledged but has not ended: it counts still.
    const second = codeOf(client.send('ECHO'));
    expect(await codeOf(client.send('ECHO'))).toBe('BUSY');
    await until('the second', () => held.length === 3);
    await rows.return?.();
    router.addRow(String(held[1]?.token), 2);
    await call;
    router.onRequest = (request) => router.accept(request);
    expect(await codeOf(client.send('ECHO'))).toBe('resolved');
    await client.close();
    expect(await second).toBe('CLIENT_CLOSED');
  });

  test('is refused with BUSY beyond maxPendingBytes, until an ACK makes room', async () => {
    const client = await alice({ maxPendingBytes: 1000 });
    const held: Request[] = [];
    router.onRequest = (request) => held.push(request);
    const first = client.send('ECHO', { a: 'x'.repeat(600) });
    expect(await codeOf(client.send('ECHO', { a: 'x'.repeat(600) }))).toBe('BUSY');
    await until('the first', () => held.length === 1);
    for (const request of held) router.accept(request);
    await first;
    router.onRequest = (request) => router.accept(request);
    expect(await codeOf(client.send('ECHO', { a: 'x'.repeat(600) }))).toBe('resolved');
  });

  test('may not bear the token of another one that still waits', async () => {
    const client = await alice();
    router.onRequest = () => undefined;
    const first = client.send('ECHO', {}, { token: 't', timeoutMs: 50 });
    expect(await codeOf(client.send('ECHO', { n: 2 }, { token: 't' }))).toBe('TOKEN_REUSED');
    expect(await codeOf(first)).toBe('NOT_ACKNOWLEDGED');
  });

  test('goes with all others of its turn in records of at most 128', async () => {
    const client = await alice();
    const before = router.frames.length;
    await Promise.all(Array.from({ length: 1000 }, () => client.send('ECHO')));
    const sizes = router.frames.slice(before).map((messages) => messages.length);
    expect(sizes).toEqual([128, 128, 128, 128, 128, 128, 128, 104]);
  });

  test('keeps records within 256 KiB', async () => {
    const client = await alice();
    const before = router.frames.length;
    await Promise.all(Array.from({ length: 10 }, () => client.send('ECHO', { a: 'x'.repeat(100_000) })));
    expect(router.frames.slice(before).map((messages) => messages.length)).toEqual([2, 2, 2, 2, 2]);
  });
});

describe('a call', () => {
  test('goes in one record with its FOLLOW, wherever in a burst it is', async () => {
    const client = await alice();
    const before = router.frames.length;
    const odd = client.send('ECHO');
    const burst = Array.from({ length: 200 }, (_, i) =>
      client.call('ECHO', { a: 'x'.repeat(i % 7 === 0 ? 20_000 : 1) }),
    );
    await Promise.all([odd, ...burst]);
    const first = router.frames.slice(before).map(([message]) => String(message));
    expect(first.length).toBeGreaterThan(3);
    expect(first.filter((text) => text.startsWith('[FOLLOW]'))).toEqual([]);
  });

  test('ends with the terminal row, having shown every row', async () => {
    const client = await alice();
    router.onRequest = (request) => {
      router.accept(request);
      router.addRow(request.token, 0);
      router.addRow(request.token, 120, { at: 'work' });
      router.addRow(request.token, 2, [1, 2]);
    };
    const rows: HistoryRow[] = [];
    const outcome = await client.call('ECHO', {}, { onRow: (row) => rows.push(row) });
    expect(outcome).toMatchObject({ code: 2, ok: true, data: [1, 2] });
    expect(rows.map((row) => row.code)).toEqual([0, 120, 2]);
    expect(outcome.row).toEqual(rows.at(-1));
  });

  test('resolves with the failure of what was accepted', async () => {
    const client = await alice();
    router.onRequest = (request) => {
      router.accept(request);
      router.addRow(request.token, 1, { error: 'TIMEOUT', message: 'too slow' });
    };
    expect(await client.call('ECHO')).toMatchObject({ code: 1, ok: false, data: { error: 'TIMEOUT' } });
  });

  test('sends its FOLLOW in the same record', async () => {
    const client = await alice();
    await client.call('ECHO', {}, { token: 't' });
    const record = router.frames.find((messages) => messages[0]?.startsWith('[ECHO]'));
    expect(record).toEqual(['[ECHO] [t] [] {}', expect.stringMatching(/^\[FOLLOW\] \[[\w:-]+\] \[\] {"token":"t"}$/)]);
  });

  test('whose FOLLOW is refused says that it was accepted, unless the request is refused, which says more', async () => {
    const client = await alice();
    router.followRefusal = 'FORBIDDEN';
    const held: Request[] = [];
    router.onRequest = (request) => held.push(request);
    const calls = [client.call('ECHO'), client.call('ECHO')].map(codeOf);
    await until('both FOLLOWs', () => asked('FOLLOW').length === 2);
    await client.ping();
    const [first, second] = held;
    if (first) router.refuse(first, 'NOT_READY');
    if (second) router.accept(second);
    expect(await Promise.all(calls)).toEqual(['NOT_READY', 'NOT_FOLLOWED']);
    router.followRefusal = undefined;
    const early = codeOf(client.call('ECHO'));
    await until('the third', () => held.length === 3);
    router.followRefusal = 'BUSY';
    if (held[2]) router.accept(held[2]);
    router.addRow(String(held[2]?.token), 2);
    expect(await early).toBe('resolved');
  });

  test('rejects with what its onRow throws', async () => {
    const client = await alice();
    const call = client.call(
      'ECHO',
      {},
      {
        onRow: () => {
          throw new Error('not this row');
        },
      },
    );
    await expect(call).rejects.toThrow('not this row');
    expect((await client.call('ECHO')).ok).toBe(true);
  });
});

describe('a follow', () => {
  test('gives each row once and in order, and ends after the terminal one', async () => {
    const client = await alice();
    router.addRow('t', 0);
    const rows = collect(client.follow('t'));
    await until('the FOLLOW', () => asked('FOLLOW').length === 1);
    router.addRow('t', 10);
    router.addRow('other', 10);
    router.addRow('t', 2);
    expect((await rows).map((row) => [row.id, row.code])).toEqual([
      [1, 0],
      [2, 10],
      [4, 2],
    ]);
  });

  test('starts after the row it is given', async () => {
    const client = await alice();
    for (const code of [0, 10, 11, 2]) router.addRow('t', code);
    expect((await collect(client.follow('t', { afterId: 2 }))).map((row) => row.id)).toEqual([3, 4]);
  });

  test('is shared by several readers without a gap or a double, wherever each one starts', async () => {
    const client = await alice();
    for (const code of [0, 10, 11]) router.addRow('t', code);
    const late = collect(client.follow('t', { afterId: 2 }));
    const early = collect(client.follow('t'));
    const latest = collect(client.follow('t', { afterId: 3 }));
    await until('what the later ones lack', () => asked('GETLOG').length === 2);
    router.addRow('t', 12);
    router.addRow('t', 2);
    expect((await late).map((row) => row.id)).toEqual([3, 4, 5]);
    expect((await early).map((row) => row.id)).toEqual([1, 2, 3, 4, 5]);
    expect((await latest).map((row) => row.id)).toEqual([4, 5]);
  });

  test('of a token that was followed before in this session has no gap, either', async () => {
    const client = await alice();
    for (let round = 0; round < 5; round++) {
      router.addRow('t', 10);
      for await (const row of client.follow('t')) {
        expect(row.id).toBe(1);
        break;
      }
    }
    router.addRow('t', 2);
    expect((await collect(client.follow('t'))).map((row) => row.id)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('takes the rows that come while it fetches older ones after those, in order', async () => {
    const client = await alice();
    for (let i = 0; i < 5; i++) router.addRow('t', 10);
    const first = collect(client.follow('t', { afterId: 5 }));
    await until('the FOLLOW', () => asked('FOLLOW').length === 1);
    router.pageRows = 2;
    // Each page is overtaken by a new row.
    let pages = 0;
    router.outgoing = (frame) => {
      if (asked('GETLOG').length > pages && pages < 6) {
        pages = asked('GETLOG').length;
        setImmediate(() => router.addRow('t', 11));
      }
      return frame;
    };
    const second = client.follow('t')[Symbol.asyncIterator]();
    const ids: number[] = [];
    while (ids.length < 9) ids.push((await second.next()).value.id);
    router.addRow('t', 2);
    for (let next = await second.next(); !next.done; next = await second.next()) ids.push(next.value.id);
    expect(ids).toEqual(router.rows.map((row) => row.id));
    expect((await first).map((row) => row.id)).toEqual(ids.slice(5));
  });

  test('lets a slow reader have every row, and holds no more than a thousand for it', async () => {
    const client = await alice();
    const slow = client.follow('t')[Symbol.asyncIterator]();
    const first = slow.next();
    await until('the FOLLOW', () => asked('FOLLOW').length === 1);
    for (let i = 0; i < 2500; i++) router.addRow('t', 10);
    await first;
    await client.ping();
    const ids = [(await first).value.id];
    while (ids.length < 1700) ids.push((await slow.next()).value.id);
    for (let i = 0; i < 10; i++) router.addRow('t', 11);
    while (ids.length < 2510) ids.push((await slow.next()).value.id);
    router.addRow('t', 2);
    for (let next = await slow.next(); !next.done; next = await slow.next()) ids.push(next.value.id);
    expect(ids).toEqual(Array.from({ length: 2511 }, (_, i) => i + 1));
    expect(asked('GETLOG').length).toBeGreaterThanOrEqual(2);
  });

  test('ends by its signal, by leaving the loop, and by a refusal', async () => {
    const client = await alice();
    const abort = new AbortController();
    const rows = collect(client.follow('t', { signal: abort.signal }));
    abort.abort(new Error('enough'));
    await expect(rows).rejects.toThrow('enough');
    router.addRow('t', 10);
    for await (const row of client.follow('t')) {
      expect(row.code).toBe(10);
      break;
    }
    router.followRefusal = 'FORBIDDEN';
    await expect(collect(client.follow('u'))).rejects.toMatchObject({ code: 'FORBIDDEN' });
    router.followRefusal = undefined;
    const allowed = collect(client.follow('u'));
    await client.ping();
    router.addRow('u', 2);
    expect(await allowed).toHaveLength(1);
    // A token that has ended is asked for again like any other.
    expect(await collect(client.follow('u'))).toHaveLength(1);
    expect(asked('FOLLOW').map((request) => request.data)).toEqual([
      '{"token":"t"}',
      '{"token":"u"}',
      '{"token":"u"}',
      '{"token":"u"}',
    ]);
  });
});

async function collect(rows: AsyncIterable<HistoryRow>): Promise<HistoryRow[]> {
  const all: HistoryRow[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

describe('reading', () => {
  test('a query goes on while there is more, and stops at its limit', async () => {
    const client = await alice();
    for (let i = 0; i < 25; i++) router.addRow('t', 10);
    router.pageRows = 10;
    expect((await client.query({ token: 't' })).map((row) => row.id)).toEqual(router.rows.map((row) => row.id));
    expect(asked('GETLOG')).toHaveLength(3);
    expect(await client.query({ token: 't', limit: 15 })).toHaveLength(15);
    expect(asked('GETLOG')).toHaveLength(5);
    expect(await client.query({ token: 't', id: 20 })).toHaveLength(5);
  });

  test('cancel names the token', async () => {
    const client = await alice();
    await client.cancel('t');
    expect(asked('CANCEL').map((request) => request.data)).toEqual(['{"token":"t"}']);
  });
});

test('closing rejects what is pending, may be repeated, and leaves the rest refused', async () => {
  const client = await alice();
  router.onRequest = (request) => {
    if (request.action === 'CALLED') router.accept(request);
  };
  const pending = [client.send('ECHO'), client.call('ECHO'), client.call('CALLED'), collect(client.follow('t'))].map(
    codeOf,
  );
  await until('the requests', () => asked('FOLLOW').length === 3);
  await client.ping();
  await Promise.all([client.close(), client.close()]);
  expect(await Promise.all(pending)).toEqual(Array(4).fill('CLIENT_CLOSED'));
  expect(await codeOf(client.send('ECHO'))).toBe('CLIENT_CLOSED');
  expect(() => client.follow('t')[Symbol.asyncIterator]()).toThrow('closed');
});
