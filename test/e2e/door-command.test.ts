import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, processesWith, ROOT, until } from '../daemon-process.ts';
import { Client, isTerminal, newToken, type Row, type Who, whoOf } from './second-implementation.ts';

const daemon = new DaemonProcess({
  plugins: [
    { package: path.join(ROOT, 'plugins/action') },
    { package: path.join(ROOT, 'test/fixtures/probe'), restart: { max: 0, within: '10m' } },
  ],
});
const open: Client[] = [];
let alice: Who;
let bob: Who;
let root: Who;
let relay: Who;
let client: Client;

beforeAll(async () => {
  alice = whoOf(daemon.client('alice'));
  bob = whoOf(daemon.client('bob'));
  root = whoOf(daemon.client('root', ['admin']));
  relay = whoOf(daemon.client('relay', ['router']));
  await daemon.start();
  client = await connect(alice);
});
afterAll(async () => {
  for (const one of open) await one.close();
  await daemon.dispose();
});

async function connect(who: Who): Promise<Client> {
  const made = await Client.connect(daemon, who);
  open.push(made);
  return made;
}

const endOf = (rows: Row[]) => rows.at(-1)?.data as Record<string, unknown>;
const sleeping = (seconds: string) => processesWith(`sleep\0${seconds}\0`).length;

describe('COMMAND', () => {
  test('tells its output while it runs and its exit at the end', async () => {
    const token = newToken();
    const rows = await client.run('COMMAND', { command: "sh -c 'printf out; printf err >&2; exit 3'" }, token);
    expect(rows[0]).toMatchObject({ code: 0, type: 'COMMAND', node: 'central', token });
    const chunks = rows.filter(({ code }) => code === 100).map(({ data }) => data as { stream: string; chunk: string });
    const said = (stream: string) =>
      chunks
        .filter((one) => one.stream === stream)
        .map(({ chunk }) => chunk)
        .join('');
    expect([said('stdout'), said('stderr')]).toEqual(['out', 'err']);
    expect(rows.at(-1)).toMatchObject({ code: 2 });
    expect(endOf(rows)).toEqual({ exitCode: 3, signal: null, stdout: 'out', stderr: 'err', truncated: false });
    expect(await client.rows({ token })).toEqual(rows);
  });

  test('splits a text as a shell would quote it, and expands nothing', async () => {
    const rows = await client.run('COMMAND', { command: `printf '%s|' a "b c" 'd e' f\\ g '$HOME' "*" ~ '' ;` });
    expect(endOf(rows).stdout).toBe('a|b c|d e|f g|$HOME|*|~||;|');
    const list = await client.run('COMMAND', { command: ['printf', '%s|', 'é "', '$(id)', ''] });
    expect(endOf(list).stdout).toBe('é "|$(id)||');
  });

  test('takes env, cwd and a limit of time; what cannot start names its program', async () => {
    const rows = await client.run('COMMAND', {
      command: ['sh', '-c', 'pwd; echo $GREETING'],
      env: { GREETING: 'hello' },
      cwd: daemon.folder,
    });
    expect(endOf(rows).stdout).toBe(`${daemon.folder}\nhello\n`);
    const late = await client.run('COMMAND', { command: 'sleep 4711.1', timeoutSeconds: 0.2 });
    expect(late.at(-1)).toMatchObject({ code: 1, data: { error: 'TIMEOUT' } });
    const none = await client.run('COMMAND', { command: '/no/such/program x' });
    expect(none.at(-1)?.code).toBe(1);
    expect(endOf(none).message).toContain('/no/such/program');
    await until('nothing sleeps', () => sleeping('4711.1') === 0);
  });

  test('gives all of a long output, in order and once', async () => {
    const rows = await client.run('COMMAND', { command: 'seq 1 60000' });
    const expected = `${Array.from({ length: 60_000 }, (_, i) => i + 1).join('\n')}\n`;
    const chunks = rows.filter(({ code }) => code === 100).map(({ data }) => (data as { chunk: string }).chunk);
    expect(chunks.join('')).toBe(expected);
    expect(endOf(rows).stdout).toBe(expected);
    const ids = rows.map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
  });
});

describe('CANCEL', () => {
  test("ends one's own request, its processes too, and is a request itself", async () => {
    const token = newToken();
    await client.request('COMMAND', { command: ['sh', '-c', 'sleep 4711.2; true'] }, token);
    await client.request('FOLLOW', { token });
    await until('it sleeps', () => sleeping('4711.2') === 1);
    const cancel = await client.run('CANCEL', { token });
    expect(cancel.map(({ code, type }) => [code, type])).toEqual([
      [0, 'CANCEL'],
      [2, 'CANCEL'],
    ]);
    const rows = await client.ended(token);
    expect(rows.at(-1)).toMatchObject({ code: 1, data: { error: 'CANCELLED' } });
    expect(rows.filter(isTerminal)).toHaveLength(1);
    await until('nothing sleeps', () => sleeping('4711.2') === 0);
    // Of what has ended nothing changes.
    await client.run('CANCEL', { token });
    expect(await client.rows({ token })).toEqual(rows);
  });

  test("is refused on another's, and taken from an admin", async () => {
    const [other, admin] = [await connect(bob), await connect(root)];
    const token = newToken();
    await client.request('COMMAND', { command: 'sleep 4711.3' }, token);
    const refused = newToken();
    expect((await other.request('CANCEL', { token }, refused)).data.error).toBe('FORBIDDEN');
    expect(await admin.rows({ token: refused })).toEqual([]);
    await client.request('FOLLOW', { token });
    expect((await admin.request('CANCEL', { token })).code).toBe(0);
    expect((await client.ended(token)).at(-1)).toMatchObject({ code: 1, data: { error: 'CANCELLED' } });
  });
});

describe('KILL', () => {
  test('ends an instance and what runs in it; the next one serves', async () => {
    const admin = await connect(root);
    const token = newToken();
    await client.request('COMMAND', { command: ['sh', '-c', 'sleep 4711.6; true'] }, token);
    await client.request('FOLLOW', { token });
    await until('it sleeps', () => sleeping('4711.6') === 1);
    const kill = newToken();
    await admin.send(`[KILL] [${kill}] [] [action] []`, `[FOLLOW] [] [] {"token":"${kill}"}`);
    expect((await admin.answer(kill)).data).toEqual({ code: 0, data: {} });
    const rows = await admin.ended(kill);
    expect(rows.length).toBeGreaterThan(2);
    expect(rows.every(({ code }, i) => code === (i === rows.length - 1 ? 2 : 0))).toBe(true);
    expect(sleeping('4711.6')).toBe(0);
    expect((await client.ended(token)).at(-1)).toMatchObject({ code: 1, data: { error: 'PLUGIN_KILLED' } });
    expect(endOf(await client.run('COMMAND', { command: 'echo again' })).stdout).toBe('again\n');
    expect(await admin.ask(`[KILL] [${kill}] [] {"type":"action","id":""}`, kill)).toMatchObject({
      data: { duplicate: true },
    });
  });

  test('of what there is not says what there is', async () => {
    const admin = await connect(root);
    const token = newToken();
    const type = await admin.ask(`[KILL] [${token}] [] [nothing] []`, token);
    expect(type.data).toMatchObject({ error: 'UNKNOWN_INSTANCE', message: expect.stringContaining('action') });
    const id = await admin.ask(`[KILL] [${token}] [] [action] [77]`, token);
    expect(id.data).toMatchObject({ error: 'UNKNOWN_INSTANCE', message: expect.stringContaining('action/1') });
    expect(await admin.rows({ token })).toEqual([]);
  });
});

test("what a router forwards for a caller is that caller's: it ends what it forwarded for him, and for nobody else", async () => {
  const parent = await connect(relay);
  const token = newToken();
  const $ = { from: 'carol' };
  expect((await parent.request('COMMAND', { command: 'sleep 4711.7', $ }, token)).code).toBe(0);
  expect((await parent.rows({ token }))[0]?.data).toMatchObject({ owner: expect.stringMatching(/\/carol$/) });
  expect((await parent.request('CANCEL', { token, $: { from: 'dave' } })).data.error).toBe('FORBIDDEN');
  expect((await client.request('CANCEL', { token })).data.error).toBe('FORBIDDEN');
  await parent.request('FOLLOW', { token, $ });
  expect((await parent.request('CANCEL', { token, $ })).code).toBe(0);
  expect((await parent.ended(token)).at(-1)).toMatchObject({ code: 1, data: { error: 'CANCELLED' } });
});

test('requests that were accepted go on when their session ends by a broken record', async () => {
  const token = newToken();
  const brief = await connect(bob);
  expect((await brief.request('COMMAND', { command: ['sh', '-c', 'sleep 0.3; echo done'] }, token)).code).toBe(0);
  brief.c2s.seq += 7n;
  await brief.send('[PING] [] []');
  await brief.isOver();
  const again = await connect(bob);
  await again.request('FOLLOW', { token });
  expect(endOf(await again.ended(token)).stdout).toBe('done\n');
});

test('a deadline that has passed ends a request, which was accepted all the same', async () => {
  const token = newToken();
  const deadline = Math.floor(Date.now() / 1000) - 10;
  await client.request('COMMAND', { command: 'sleep 4711.4', $: { deadline } }, token);
  await client.request('FOLLOW', { token });
  expect((await client.ended(token)).at(-1)).toMatchObject({ code: 1, data: { error: 'TIMEOUT' } });
});

test('a plugin in quarantine refuses new requests, and still knows those that it had', async () => {
  const token = newToken();
  await client.run('ECHO', { a: 1 }, token);
  const crashed = await client.run('CRASH', {});
  expect(crashed.at(-1)).toMatchObject({ code: 1, data: { error: 'PLUGIN_CRASHED' } });
  expect((await client.request('ECHO', { a: 1 })).data.error).toBe('NOT_READY');
  const again = await client.request('ECHO', { a: 1 }, token);
  expect(again.data).toEqual({ duplicate: true });
  const other = await client.request('ECHO', { a: 2 }, token);
  expect(other.data.error).toBe('TOKEN_REUSED');
});

test('killed with -9 amid requests it ends every one that it acknowledged, in one terminal row', async () => {
  const requests = new Map<string, string>();
  const add = (action: string, data: object) => {
    const token = newToken();
    requests.set(token, `[${action}] [${token}] [] ${JSON.stringify(data)}`);
    return token;
  };
  const asleep = Array.from({ length: 10 }, () => add('COMMAND', { command: 'sleep 4711.5' }));
  for (let i = 0; i < 80; i++) add('COMMAND', { command: ['sh', '-c', `sleep 0.0${i % 9}; echo ${i}`] });
  const put = newToken();
  const putOwn = newToken();
  requests.set(putOwn, `[PUTLOG] [${putOwn}] [] ${JSON.stringify({ token: put, code: 10, data: 'kept' })}`);
  await client.send(...requests.values());
  for (const token of [...asleep, putOwn]) await client.answer(token);
  await until('all sleep', () => sleeping('4711.5') === asleep.length);
  await daemon.end('SIGKILL');
  const acknowledged = client.heard.filter(({ verb, token }) => verb === 'ACK' && requests.has(token));
  await daemon.start();
  expect(sleeping('4711.5')).toBe(0);

  const later = await connect(alice);
  // Whether or not the ACK came: the same bytes again, and each runs, or has run, just once.
  await later.send(...requests.values());
  for (const token of requests.keys()) expect((await later.answer(token)).data).toMatchObject({ code: 0 });
  for (const { token } of acknowledged) {
    const again = later.heard.find((reply) => reply.verb === 'ACK' && reply.token === token);
    expect(again?.data).toMatchObject({ data: { duplicate: true } });
  }
  requests.delete(putOwn);
  await later.send(...[...requests.keys()].map((token) => `[FOLLOW] [${newToken()}] [] {"token":"${token}"}`));
  for (const token of requests.keys()) {
    const rows = await later.ended(token);
    expect(rows[0]).toMatchObject({ code: 0, type: 'COMMAND' });
    expect(rows.filter(isTerminal)).toHaveLength(1);
    expect(await later.rows({ token })).toEqual(rows);
    if (asleep.includes(token)) expect(endOf(rows).error).toBe('OUTCOME_UNKNOWN');
  }
  expect((await later.rows({ token: put })).map(({ data }) => data)).toEqual(['kept']);
  expect(acknowledged.length).toBeGreaterThan(asleep.length);
});

test('SIGTERM tells each session STOPPING, sealed, and leaves nothing behind', async () => {
  const last = await connect(bob);
  const token = newToken();
  expect((await last.request('COMMAND', { command: 'sleep 1' }, token)).code).toBe(0);
  await last.request('FOLLOW', { token });
  const over = daemon.end('SIGTERM');
  await until('it stops', async () => (await last.request('COMMAND', { command: 'true' })).data.error === 'STOPPING');
  expect((await last.request('COMMAND', { command: 'sleep 1' }, token)).data).toEqual({ duplicate: true });
  expect((await last.ended(token)).at(-1)).toMatchObject({ code: 2 });
  expect(await last.take(({ verb }) => verb === 'BYE', 'BYE')).toMatchObject({
    data: { reason: 'STOPPING' },
    clear: false,
  });
  expect(await over).toBe(0);
  expect(readFileSync(daemon.database).length).toBeGreaterThan(0);
});
