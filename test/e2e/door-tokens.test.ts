import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { ackOf, Client, isTerminal, newToken, type Row, rowOf, type Who, whoOf } from './second-implementation.ts';

const MAX_MESSAGE = 256 * 1024;
const daemon = new DaemonProcess({
  core: { maxMessage: '256KiB' },
  plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }],
});
const clients: Client[] = [];
let whoAlice: Who;
let alice: Client;
let bob: Client;
let relay: Client;
let root: Client;
let node: Client;

beforeAll(async () => {
  whoAlice = whoOf(daemon.client('alice'));
  const all = [
    whoAlice,
    whoOf(daemon.client('bob')),
    whoOf(daemon.client('relay', ['router'])),
    whoOf(daemon.client('root', ['admin'])),
    whoOf(daemon.client('paris-1', ['node'])),
  ];
  await daemon.start();
  for (const who of all) clients.push(await Client.connect(daemon, who));
  [alice, bob, relay, root, node] = clients as [Client, Client, Client, Client, Client];
});
afterAll(async () => {
  for (const client of clients) await client.close();
  await daemon.dispose();
});

const DUPLICATE = { code: 0, data: { duplicate: true } };
const idsOf = (rows: Row[]) => rows.map(({ id }) => id);
const codesOf = (rows: Row[]) => rows.map(({ code }) => code);

/** Writes `count` rows under `token`, in one record. */
async function put(client: Client, token: string, count: number, data: unknown = { some: 'thing' }): Promise<void> {
  const own = Array.from({ length: count }, newToken);
  await client.send(
    ...own.map((one, i) => `[PUTLOG] [${one}] [] ${JSON.stringify({ token, code: 10 + i, data: data })}`),
  );
  for (const one of own) expect(ackOf(await client.answer(one)).code).toBe(0);
}

describe('one token, one request', () => {
  test('the same again is a duplicate, however it is written, and nothing runs again', async () => {
    const token = newToken();
    const rows = await alice.run('ECHO', { a: 1, b: ['A', { c: null }] }, token);
    expect(codesOf(rows)).toEqual([0, 2]);
    const again = [
      '{"a":1,"b":["A",{"c":null}]}',
      ' { "a" : 1.0 , "b" : [ "\\u0041" , {"c":null} ] } ',
      '{"a":1e0,"b":["A",{"c":null}],"$":{"hold":true,"traceparent":"x"}}',
    ];
    for (const data of again) {
      expect(await alice.ask(`[ECHO] [${token}] [] ${data}`, token)).toMatchObject(DUPLICATE);
      expect(await alice.ask(`[ECHO] [${token}] [central] ${data}`, token)).toMatchObject(DUPLICATE);
    }
    expect(await alice.rows({ token })).toEqual(rows);
  });

  test('twice in one record it runs once; both are acknowledged', async () => {
    const token = newToken();
    const text = `[ECHO] [${token}] [] {"x":1}`;
    await alice.send(text, text, text);
    const acks = [await alice.answer(token), await alice.answer(token), await alice.answer(token)].map(ackOf);
    expect(acks.map(({ code, data }) => [code, data.duplicate ?? false])).toEqual([
      [0, false],
      [0, true],
      [0, true],
    ]);
    await alice.request('FOLLOW', { token });
    expect(codesOf(await alice.ended(token))).toEqual([0, 2]);
    expect(codesOf(await alice.rows({ token }))).toEqual([0, 2]);
  });

  test('while it runs, and when it has ended, other content is TOKEN_REUSED and another identity FORBIDDEN', async () => {
    const token = newToken();
    expect((await alice.request('SLEEP', { ms: 300 }, token)).code).toBe(0);
    const check = async () => {
      expect((await alice.request('SLEEP', { ms: 301 }, token)).data.error).toBe('TOKEN_REUSED');
      expect((await alice.request('SLEEP', { ms: 300, note: '' }, token)).data.error).toBe('TOKEN_REUSED');
      expect((await alice.request('ECHO', { ms: 300 }, token)).data.error).toBe('TOKEN_REUSED');
      expect((await alice.request('PUTLOG', { token: 'other', code: 10, data: 1 }, token)).data.error).toBe(
        'TOKEN_REUSED',
      );
      expect((await alice.request('CANCEL', { token }, token)).data.error).toBe('TOKEN_REUSED');
      for (const stranger of [bob]) {
        expect((await stranger.request('SLEEP', { ms: 300 }, token)).data.error).toBe('FORBIDDEN');
        expect((await stranger.request('ECHO', {}, token)).data.error).toBe('FORBIDDEN');
      }
      for (const trusted of [root, relay]) {
        expect(await trusted.request('SLEEP', { ms: 300 }, token)).toMatchObject(DUPLICATE);
        expect((await trusted.request('SLEEP', { ms: 1 }, token)).data.error).toBe('TOKEN_REUSED');
      }
    };
    await check();
    await alice.request('FOLLOW', { token });
    await alice.ended(token);
    await check();
    expect(codesOf(await alice.rows({ token }))).toEqual([0, 2]);
  });

  test('of two identities that use it at the same moment one has it', async () => {
    for (let i = 0; i < 10; i++) {
      const token = newToken();
      const acks = await Promise.all([alice.request('ECHO', { i }, token), bob.request('ECHO', { i }, token)]);
      expect(acks.map(({ code, data }) => data.error ?? code).sort()).toEqual([0, 'FORBIDDEN']);
    }
  });

  test('reads use no token up', async () => {
    const token = newToken();
    for (const client of [alice, bob, alice]) {
      await client.send(
        `[PING] [${token}] []`,
        `[GETLOG] [${token}] [] {"id":0,"limit":1}`,
        `[FOLLOW] [${token}] [] {"token":"${newToken()}"}`,
        `[INFORMATION] [${token}] []`,
      );
      for (let i = 0; i < 4; i++) expect(ackOf(await client.answer(token)).data.duplicate).toBeUndefined();
    }
    expect(await root.rows({ token })).toEqual([]);
    expect(codesOf(await bob.run('ECHO', {}, token))).toEqual([0, 2]);
  });

  test('reads are never duplicates, even of a token that others used', async () => {
    const token = newToken();
    await alice.run('ECHO', {}, token);
    for (const client of [alice, bob]) {
      expect((await client.ask(`[PING] [${token}] []`, token)).data.id).toBe('central');
      expect((await client.request('GETLOG', { token }, token)).data.action).toBe('getlog');
      expect((await client.request('GETTHUMBPRINT', {}, token)).data.duplicate).toBeUndefined();
    }
  });
});

describe("another's token", () => {
  test('shows nothing, takes nothing and cannot be ended, while it runs and afterwards', async () => {
    const token = newToken();
    const since = (await alice.rows({ id: 0 })).at(-1)?.id ?? 0;
    await alice.request('SLEEP', { ms: 200 }, token);
    const attack = async () => {
      expect(await bob.rows({ token })).toEqual([]);
      expect((await bob.rows({ id: since })).filter((row) => row.token === token)).toEqual([]);
      expect((await bob.request('FOLLOW', { token })).data.error).toBe('FORBIDDEN');
      expect((await bob.request('PUTLOG', { token, code: 10, data: 'forged' })).data.error).toBe('FORBIDDEN');
      expect((await bob.request('CANCEL', { token })).data.error).toBe('FORBIDDEN');
      expect((await node.request('FOLLOW', { token })).data.error).toBe('FORBIDDEN');
      expect(await node.rows({ token })).toEqual([]);
    };
    await attack();
    await alice.request('FOLLOW', { token });
    const rows = await alice.ended(token);
    await attack();
    expect(codesOf(rows)).toEqual([0, 2]);
    for (const trusted of [root, relay]) expect(await trusted.rows({ token })).toEqual(rows);
    expect(bob.logged(token)).toEqual([]);
  });

  test('may be followed before it is used, and then shows nothing', async () => {
    const token = newToken();
    for (const client of [bob, root, alice]) expect((await client.request('FOLLOW', { token })).code).toBe(0);
    await alice.request('STEPS', { rows: 3 }, token);
    const rows = await alice.ended(token);
    expect(codesOf(rows)).toEqual([0, 50, 50, 50, 2]);
    expect(await root.ended(token)).toEqual(rows);
    await bob.ping();
    expect(bob.logged(token)).toEqual([]);
  });

  test('is nobody to cancel where it was never used', async () => {
    expect((await alice.request('CANCEL', { token: newToken() })).code).toBe(1);
  });
});

describe('GETLOG', () => {
  test('takes one of its five filters at least, in their ranges', async () => {
    const wrong = [
      '{}',
      '{"limit":1}',
      '{"id":0,"limit":0}',
      '{"id":0,"limit":10001}',
      '{"id":0,"limit":1.5}',
      '{"id":"0"}',
      '{"id":-1}',
      '{"code":"0"}',
      '{"token":7}',
      '{"token":"a b"}',
      '{"token":null}',
      '{"ctime":"now"}',
      '{"id":0,"node":"central"}',
      '{"id":0,"from":"alice"}',
    ];
    for (const data of wrong) {
      const token = newToken();
      expect([data, await alice.verdict(`[GETLOG] [${token}] [] ${data}`, token)]).toEqual([data, 'INVALID_DATA']);
    }
    const right = ['{"id":0,"limit":1}', '{"id":0,"limit":10000}', '{"code":0}', '{"etime":0}', '{"ctime":0}'];
    for (const data of right) {
      const token = newToken();
      expect([data, await alice.verdict(`[GETLOG] [${token}] [] ${data}`, token)]).toEqual([data, 'accepted']);
    }
  });

  test('answers with its name, the node, ascending rows and whether there are more', async () => {
    const token = newToken();
    await put(alice, token, 25);
    const { data } = await alice.request('GETLOG', { token, limit: 10 });
    expect(data).toEqual({ action: 'getlog', id: 'central', result: expect.anything(), more: true });
    const all = await alice.rows({ token, limit: 7 });
    expect(codesOf(all)).toEqual(Array.from({ length: 25 }, (_, i) => 10 + i));
    expect(idsOf(all)).toEqual([...idsOf(all)].sort((a, b) => a - b));
    expect((await alice.request('GETLOG', { token, limit: 25 })).data).toMatchObject({ more: false });
    expect((await alice.request('GETLOG', { token, limit: 24 })).data).toMatchObject({ more: true });
    expect(all[0]).toEqual({
      id: expect.any(Number),
      token,
      type: expect.any(String),
      node: 'central',
      code: 10,
      etime: expect.any(Number),
      ctime: expect.any(Number),
      data: { some: 'thing' },
    });
  });

  test('ands its filters: = for token and code, > for id, ctime and etime', async () => {
    const token = newToken();
    for (const [code, etime] of [
      [20, 1000],
      [21, 1001],
      [21, 1002],
    ]) {
      await alice.request('PUTLOG', { token, code, etime, data: null });
    }
    const [first, second, third] = await alice.rows({ token });
    expect([first?.etime, second?.etime, third?.etime]).toEqual([1000, 1001, 1002]);
    const find = async (filter: object) => idsOf(await alice.rows({ token, ...filter }));
    const [a, b, c] = [first?.id ?? 0, second?.id ?? 0, third?.id ?? 0];
    expect(await find({ code: 21 })).toEqual([b, c]);
    expect(await find({ code: 22 })).toEqual([]);
    expect(await find({ etime: 1000 })).toEqual([b, c]);
    expect(await find({ etime: 1002 })).toEqual([]);
    expect(await find({ id: a })).toEqual([b, c]);
    expect(await find({ id: a, etime: 1001, code: 21 })).toEqual([c]);
    expect(await find({ ctime: (first?.ctime ?? 0) - 1 })).toEqual([a, b, c]);
    expect(await find({ ctime: third?.ctime ?? 0 })).toEqual([]);
    expect(Math.abs((first?.ctime ?? 0) - Date.now() / 1000)).toBeLessThan(60);
  });

  test('ends a page by size too, and gives every row over its pages', async () => {
    const token = newToken();
    const chunk = 'é'.repeat(30_000);
    for (let i = 0; i < 8; i++) await put(alice, token, 1, chunk);
    const { data } = await alice.request('GETLOG', { token });
    expect(data.more).toBe(true);
    const all = await alice.rows({ token });
    expect(all).toHaveLength(8);
    expect(all.every((row) => row.data === chunk)).toBe(true);
  });
});

describe('PUTLOG', () => {
  test('writes the row that it names, any JSON value, and no terminal code', async () => {
    const token = newToken();
    const values = [null, true, 0, -1.5, 1e300, '', 'é \u2028 "\\', [], {}, { a: [1, { b: null }] }];
    for (const [i, data] of values.entries()) {
      expect((await alice.request('PUTLOG', { token, code: 10 + i, etime: 7, data })).code).toBe(0);
    }
    expect((await alice.request('PUTLOG', { token, code: 0, data: 'progress' })).code).toBe(0);
    const rows = await alice.rows({ token });
    expect(rows.map(({ data }) => data)).toEqual([...values, 'progress']);
    expect(rows[0]).toMatchObject({ token, code: 10, etime: 7 });
    const wrong: object[] = [
      ...[1, 2, 3, 4, 5, 6, 7, 8, 9, -1, 10.5, '10', null].map((code) => ({ token, code, data: 1 })),
      { token, code: 10 },
      { code: 10, data: 1 },
      { token: '', code: 10, data: 1 },
      { token: 'a b', code: 10, data: 1 },
      { token: 'x'.repeat(256), code: 10, data: 1 },
      { token, code: 10, data: 1, etime: 'now' },
      { token, code: 10, data: 1, ctime: 7 },
      { token, code: 10, data: 1, node: 'paris-1' },
    ];
    for (const data of wrong) {
      const said = (await alice.request('PUTLOG', data)).data.error;
      expect([data, said]).toEqual([data, 'INVALID_DATA']);
    }
    expect((await alice.request('PUTLOG', { token, code: 10, data: 1 }, token)).data.error).toBe('INVALID_DATA');
    expect(await alice.rows({ token })).toHaveLength(values.length + 1);
  });

  test('is harmless when repeated under its own token, and owns that token', async () => {
    const token = newToken();
    const own = newToken();
    const row = { token, code: 11, data: { n: 1 } };
    expect(await alice.request('PUTLOG', row, own)).toMatchObject({ code: 0 });
    expect(await alice.request('PUTLOG', row, own)).toMatchObject(DUPLICATE);
    expect((await alice.request('PUTLOG', { ...row, code: 12 }, own)).data.error).toBe('TOKEN_REUSED');
    expect((await alice.request('ECHO', {}, own)).data.error).toBe('TOKEN_REUSED');
    expect((await bob.request('ECHO', {}, own)).data.error).toBe('FORBIDDEN');
    expect((await bob.request('PUTLOG', row, own)).data.error).toBe('FORBIDDEN');
    expect(codesOf(await alice.rows({ token }))).toEqual([11]);
    expect(await alice.rows({ token: own })).toEqual([]);
    // Without a token of its own, each is a row.
    for (let i = 0; i < 2; i++) {
      await alice.send(`[PUTLOG] [] [] ${JSON.stringify(row)}`);
      await alice.take(({ verb, data }) => verb === 'ACK' && ackOf({ data } as never).code === 0, 'the ACK of PUTLOG');
    }
    expect(codesOf(await alice.rows({ token }))).toEqual([11, 11, 11]);
  });

  test('reaches those who follow the token, and a new token belongs to its writer', async () => {
    const token = newToken();
    await alice.request('FOLLOW', { token });
    await put(alice, token, 2);
    expect((await bob.request('PUTLOG', { token, code: 10, data: 1 })).data.error).toBe('FORBIDDEN');
    expect((await bob.request('ECHO', {}, token)).data.error).toBe('FORBIDDEN');
    expect((await root.request('PUTLOG', { token, code: 19, data: 'by root' })).code).toBe(0);
    await alice.take(
      ({ verb, token: of, data }) => verb === 'LOG' && of === token && rowOf(data).code === 19,
      'code 19',
    );
    expect(codesOf(alice.logged(token))).toEqual([10, 11, 19]);
    // Its owner may use it for a request; that one ends.
    expect((await alice.request('ECHO', { late: 1 }, token)).code).toBe(0);
    expect(codesOf(await alice.ended(token))).toEqual([10, 11, 19, 0, 2]);
    expect(await alice.rows({ token })).toEqual(alice.logged(token));
  });

  test('is told to who follows while the request runs that came after it', async () => {
    const token = newToken();
    await put(alice, token, 2);
    expect((await alice.request('SLEEP', { ms: 150 }, token)).code).toBe(0);
    await alice.request('FOLLOW', { token });
    expect(codesOf(await alice.ended(token))).toEqual([10, 11, 0, 2]);
    expect(await alice.rows({ token })).toEqual(alice.logged(token));
    const next = newToken();
    await put(alice, next, 2);
    expect(codesOf(await alice.run('ECHO', {}, next))).toEqual([10, 11, 0, 2]);
  });

  test('of two writers gives a follower every row, ascending', async () => {
    const token = newToken();
    await put(alice, token, 1);
    await alice.request('FOLLOW', { token });
    await Promise.all([put(root, token, 40), put(alice, token, 40), put(relay, token, 40)]);
    const rows = await alice.rows({ token });
    await alice.ping();
    expect(rows).toHaveLength(121);
    expect(alice.logged(token)).toEqual(rows);
  });

  test('takes no row that nobody could be sent: what is accepted can be read', async () => {
    const token = newToken();
    const sized = (own: string, bytes: number) => {
      const start = `[PUTLOG] [${own}] [] {"token":"${token}","code":10,"data":"`;
      return `${start}${'x'.repeat(bytes - start.length - 2)}"}`;
    };
    await alice.request('FOLLOW', { token });
    const said: unknown[] = [];
    for (const bytes of [MAX_MESSAGE, MAX_MESSAGE - 200, MAX_MESSAGE - 4096]) {
      const own = newToken();
      said.push(await alice.verdict(sized(own, bytes), own));
    }
    // Numbers grow when they are written again.
    const own = newToken();
    const numbers = Array.from({ length: 30_000 }, () => '1e20').join();
    said.push(await alice.verdict(`[PUTLOG] [${own}] [] {"token":"${token}","code":11,"data":[${numbers}]}`, own));
    const rows = await alice.rows({ token });
    expect(rows).toHaveLength(said.filter((one) => one === 'accepted').length);
    expect(said).toEqual(['TOO_LARGE', 'TOO_LARGE', 'accepted', 'TOO_LARGE']);
    expect(alice.logged(token)).toEqual(rows);
  });

  test('keeps data of every depth that it takes', async () => {
    const token = newToken();
    for (const depth of [27, 28, 29, 30, 31]) {
      const data = `${'['.repeat(depth)}${']'.repeat(depth)}`;
      const own = newToken();
      const said = await alice.verdict(`[PUTLOG] [${own}] [] {"token":"${token}","code":${depth},"data":${data}}`, own);
      if (said !== 'accepted') expect(said).toBe('INVALID_DATA');
      else expect(JSON.stringify((await alice.rows({ token, code: depth }))[0]?.data)).toBe(data);
    }
    expect((await alice.rows({ token })).length).toBeGreaterThanOrEqual(2);
  });
});

describe('FOLLOW', () => {
  test('gives the same rows whenever it begins: before, at once with, during and after', async () => {
    const token = newToken();
    const second = await Client.connect(daemon, { identity: 'bob', key: bob.who.key });
    clients.push(second);
    const count = 3000;
    const follow = (id = 0) => `[FOLLOW] [${newToken()}] [] ${JSON.stringify({ token, id })}`;
    await second.send(follow(), `[STEPS] [${token}] [] {"rows":${count}}`);
    // Others, an admin here, join while it runs.
    const some = async () =>
      second.take(({ verb, token: of, data }) => verb === 'LOG' && of === token && rowOf(data).code === 50, 'a step');
    await some();
    await root.send(follow());
    const middle = rowOf((await some()).data).id;
    await relay.send(follow(middle));
    const rows = await second.ended(token);
    expect(codesOf(rows)).toEqual([0, ...Array.from({ length: count }, () => 50), 2]);
    expect(rows.slice(1, -1).map(({ data }) => (data as { step: number }).step)).toEqual(
      Array.from({ length: count }, (_, i) => i + 1),
    );
    expect(idsOf(rows)).toEqual([...new Set(idsOf(rows))].sort((a, b) => a - b));
    expect(await root.ended(token)).toEqual(rows);
    expect(await relay.ended(token)).toEqual(rows.filter(({ id }) => id > middle));
    expect(await root.rows({ token })).toEqual(rows);
    // Afterwards: all of it, and what is left after an id.
    const third = await Client.connect(daemon, whoAlice);
    clients.push(third);
    expect((await third.request('FOLLOW', { token })).data.error).toBe('FORBIDDEN');
    const fourth = await Client.connect(daemon, bob.who);
    clients.push(fourth);
    await fourth.send(follow(rows.at(-3)?.id));
    expect(await fourth.ended(token)).toEqual(rows.slice(-2));
    await fourth.ping();
    expect(fourth.logged(token)).toHaveLength(2);
    // bob and alice gave way to their newer sessions.
    [alice, bob] = [third, fourth];
  });

  test('acknowledges before the first row', async () => {
    for (let i = 0; i < 5; i++) {
      const [token, own] = [newToken(), newToken()];
      await alice.send(`[ECHO] [${token}] [] {}`, `[FOLLOW] [${own}] [] {"token":"${token}"}`);
      await alice.ended(token);
      const heard = alice.heard.map(({ verb, token: of }) => `${verb} ${of}`);
      expect(heard.indexOf(`ACK ${own}`)).toBeGreaterThanOrEqual(0);
      expect(heard.indexOf(`ACK ${own}`)).toBeLessThan(heard.indexOf(`LOG ${token}`));
      expect(heard.indexOf(`ACK ${token}`)).toBeLessThan(heard.indexOf(`LOG ${token}`));
    }
  });

  test('ends with the terminal row: what is written later is not told', async () => {
    const token = newToken();
    await alice.run('ECHO', {}, token);
    await put(alice, token, 1);
    await alice.ping();
    expect(codesOf(alice.logged(token))).toEqual([0, 2]);
    // Who follows from there on gets what there is: nothing comes live of a token that has ended.
    expect((await alice.request('FOLLOW', { token, id: alice.logged(token).at(-1)?.id })).code).toBe(0);
    await alice.take(
      ({ verb, token: of, data }) => verb === 'LOG' && of === token && rowOf(data).code === 10,
      'code 10',
    );
    await put(alice, token, 1);
    await alice.ping();
    expect(codesOf(alice.logged(token))).toEqual([0, 2, 10]);
    expect(codesOf(await alice.rows({ token }))).toEqual([0, 2, 10, 10]);
  });

  test('refuses what is no token or no id', async () => {
    const wrong = [
      '{}',
      '{"token":""}',
      '{"token":"a b"}',
      '{"token":"a","id":-1}',
      '{"token":"a","id":"1"}',
      '{"id":1}',
    ];
    for (const data of [...wrong, '{"token":"a","from":"bob"}']) {
      const own = newToken();
      expect([data, await alice.verdict(`[FOLLOW] [${own}] [] ${data}`, own)]).toEqual([data, 'INVALID_DATA']);
    }
  });
});

test('every request ends in one terminal row, in whatever way its plugin fails', async () => {
  const asked: [string, object, unknown][] = [
    ['ECHO', { a: 1 }, { a: 1 }],
    ['THROW', {}, { error: expect.any(String), message: expect.stringContaining('thrown as asked') }],
    ['WRONG', {}, { error: 'INVALID_OUTPUT', message: expect.any(String) }],
    ['DEAF', { ms: 1300 }, { error: 'TIMEOUT', message: expect.any(String) }],
  ];
  const all = await Promise.all(asked.map(([action, data]) => alice.run(action, data)));
  for (const [i, rows] of all.entries()) {
    expect(rows.filter(isTerminal)).toHaveLength(1);
    expect(rows.at(-1)).toMatchObject({ type: asked[i]?.[0], code: i === 0 ? 2 : 1, data: asked[i]?.[2] });
    expect(await alice.rows({ token: rows[0]?.token })).toEqual(rows);
  }
});
