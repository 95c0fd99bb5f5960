import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { testPlugin } from '@centreond/plugin-kit';
import { buildManifest } from '@centreond/plugin-kit/build';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, until } from '../daemon-process.ts';
import { pluginSource, tempPackage } from '../plugin-sdk/temp-package.ts';

const methods = `
  sessions = new Map();
  constructor(transport) { this.transport = transport; }
  in({ caller }) { this.sessions.set(caller.name, this.transport.callAs(caller)); return { identity: this.sessions.get(caller.name).identity }; }
  out({ name }) { this.sessions.get(name).close(); return {}; }
  async as({ name, how, action, data, options }) {
    const session = this.sessions.get(name);
    try {
      if (how === 'follow') {
        const rows = [];
        for await (const row of session.follow(data.token, { signal: AbortSignal.timeout(5000) })) rows.push(row.code);
        return { rows };
      }
      if (how === 'query') return { rows: (await session.query(data)).map(({ code }) => code) };
      return await session[how](action, data, options);
    } catch ({ code, message }) {
      return { code, message };
    }
  }
  who(_, { identity }) { return { identity }; }
  secret() { return { secret: true }; }
  hold(_, { signal }) { return new Promise((resolve) => signal.addEventListener('abort', () => resolve({}))); }`;
const body = `
const any = z.looseObject({});
act('LETIN', { input: any, output: any }, 'in');
act('LETOUT', { input: any, output: any }, 'out');
act('CALLAS', { input: any, output: any, concurrency: 100 }, 'as');
act('WHO', { output: any }, 'who');
act('SECRET', { output: any, access: 'admin' }, 'secret');
act('HOLD', { output: any }, 'hold');
inject(TRANSPORT)(Sample, undefined, 0);`;
const source = pluginSource('', body, methods)
  .replace('{ Action,', '{ TRANSPORT, inject, Action,')
  .replace("type: 'sample'", "type: 'http'");
const folder = tempPackage({ 'index.js': source });

const daemon = new DaemonProcess({
  plugins: [
    { package: folder, allowCallers: true },
    { package: folder, as: 'closed' },
    { package: folder, as: 'router-b', allowCallers: true },
  ],
});
let client: Client;

beforeAll(async () => {
  await buildManifest(folder);
  const admin = daemon.client('root', ['admin']);
  daemon.client('router-b', ['router']);
  await daemon.start();
  client = await connect(daemon.door(admin));
});
afterAll(async () => {
  await client?.close();
  await daemon.dispose();
});

async function ask(action: string, data: object): Promise<Record<string, unknown>> {
  return (await client.call(action, data)).data as Record<string, unknown>;
}
const letIn = (caller: object, action = 'LETIN') => ask(action, { caller });
const as = (name: string, how: string, action: string, data: object = {}, options: object = {}, by = 'CALLAS') =>
  ask(by, { name, how, action, data, options });

test('a plugin calls for those whom it lets in, each with an identity and roles of its own', async () => {
  expect(await letIn({ name: 'alice', roles: ['client'] })).toEqual({ identity: 'http/alice' });
  await letIn({ name: 'boss', roles: ['admin'] });
  expect(await as('alice', 'call', 'WHO')).toMatchObject({ ok: true, data: { identity: 'http/alice' } });
  expect(await as('alice', 'call', 'SECRET')).toMatchObject({
    code: 'FORBIDDEN',
    message: expect.stringContaining('http/alice may not call SECRET'),
  });
  expect(await as('boss', 'call', 'SECRET')).toMatchObject({ ok: true });
  const { requests } = await ask('CALLAS', { name: 'boss', how: 'send', action: 'GETREQUESTS', data: {} }).then(
    ({ data }) => data as { requests: { owner: string; action: string }[] },
  );
  expect(requests.map(({ owner, action }) => `${owner} ${action}`)).toContain('http/alice WHO');
});

test('a caller reads and ends its own tokens alone', async () => {
  await letIn({ name: 'alice', roles: ['client'] });
  await letIn({ name: 'bob', roles: ['client'] });
  await as('alice', 'send', 'HOLD', {}, { token: 'held' });
  expect(await as('bob', 'query', '', { token: 'held' })).toEqual({ rows: [] });
  expect(await as('bob', 'send', 'CANCEL', { token: 'held' })).toMatchObject({ code: 'FORBIDDEN' });
  expect(await as('bob', 'send', 'HOLD', {}, { token: 'held' })).toMatchObject({ code: 'FORBIDDEN' });
  const followed = as('alice', 'follow', '', { token: 'held' });
  expect(await as('alice', 'send', 'CANCEL', { token: 'held' })).not.toHaveProperty('code');
  expect(await followed).toEqual({ rows: [0, 1] });
});

test('lists of actions and targets hold for a caller, and the refusal says who set them', async () => {
  await letIn({ name: 'narrow', roles: ['client'], actions: ['HOLD'], targets: ['central'] });
  expect(await as('narrow', 'call', 'WHO')).toMatchObject({
    code: 'FORBIDDEN',
    message: expect.stringContaining('The plugin http allows the actions HOLD.'),
  });
  await letIn({ name: 'far', roles: ['client'], targets: ['paris'] });
  expect(await as('far', 'call', 'WHO')).toMatchObject({
    message: expect.stringContaining('The plugin http allows the targets paris.'),
  });
});

test('a plugin lets nobody in without allowCallers, under a name that cannot be, or as somebody with a key', async () => {
  await letIn({ name: 'alice', roles: ['admin'] }, 'CLOSED_LETIN');
  const refused = await as('alice', 'call', 'WHO', {}, {}, 'CLOSED_CALLAS');
  expect(refused).toMatchObject({
    code: 'FORBIDDEN',
    message: expect.stringContaining('allowCallers: true in the entry of the plugin closed'),
  });
  await letIn({ name: 'a b', roles: ['admin'] });
  expect(await as('a b', 'call', 'WHO')).toMatchObject({ message: expect.stringContaining('The name of a caller') });
  await letIn({ name: 'alice', roles: ['admin'] }, 'ROUTER_B_LETIN');
  expect(await as('alice', 'call', 'WHO', {}, {}, 'ROUTER_B_CALLAS')).toMatchObject({
    message: expect.stringContaining('A key is authorised as router-b'),
  });
});

test('a session that is closed asks nothing more, and what was accepted goes on', async () => {
  await letIn({ name: 'brief', roles: ['client'] });
  await as('brief', 'send', 'HOLD', {}, { token: 'left' });
  await ask('LETOUT', { name: 'brief' });
  expect(await as('brief', 'call', 'WHO')).toMatchObject({ code: 'CLIENT_CLOSED' });
  expect((await client.query({ token: 'left' })).map(({ code }) => code)).toEqual([0]);
  await client.cancel('left');
});

test('callers leave with the process of the plugin, and come back with it', async () => {
  await letIn({ name: 'alice', roles: ['client'] });
  await daemon.cli('kill', 'http');
  await until('it runs again', async () => (await daemon.cli('--json', 'call', 'WHO')).code === 0);
  await letIn({ name: 'alice', roles: ['client'] });
  expect(await as('alice', 'call', 'WHO')).toMatchObject({ data: { identity: 'http/alice' } });
});

test('the kit lets callers in as the daemon does', async () => {
  const { default: Sample } = (await import(path.join(folder, 'index.js'))) as { default: never };
  const tested = await testPlugin(Sample, {});
  try {
    const { router } = tested;
    await router.call('LETIN', { caller: { name: 'alice', roles: ['client'] } });
    expect(router.callers.identities).toEqual(['http/alice']);
    const call = async (action: string) =>
      (await router.call('CALLAS', { name: 'alice', how: 'call', action, data: {} })).data;
    expect(await call('WHO')).toMatchObject({ data: { identity: 'http/alice' } });
    expect(await call('SECRET')).toMatchObject({ code: 'FORBIDDEN' });
    await router.call('LETOUT', { name: 'alice' });
    expect(router.callers.identities).toEqual([]);
  } finally {
    await tested.stop();
  }
});
