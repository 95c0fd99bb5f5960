import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, until } from '../daemon-process.ts';
import {
  Client,
  hello,
  Key,
  type RouterKey,
  type Row,
  routerKey,
  type Who,
  Wire,
  whoOf,
} from './second-implementation.ts';

const daemon = new DaemonProcess();
const open: { close(): Promise<void> }[] = [];
let alice: Who;
let root: Who;
let router: RouterKey;
let refusal: string;
let keys: Key[];

beforeAll(async () => {
  alice = whoOf(daemon.client('alice'));
  root = whoOf(daemon.client('root', ['admin']));
  keys = await Key.crowd(4);
  await daemon.start();
  router = await routerKey(daemon);
  refusal = await ask('[HELO] x');
});
afterAll(async () => {
  for (const one of open) await one.close();
  await daemon.dispose();
});

async function connect(who: Who): Promise<Client> {
  const client = await Client.connect(daemon, who);
  open.push(client);
  return client;
}

async function ask(frame: string): Promise<string> {
  const wire = new Wire(daemon.endpoint);
  try {
    return await wire.ask(frame);
  } finally {
    await wire.close();
  }
}

const knock = (who: Who) => ask(hello({ ...who, router }).frame);
const end = (rows: Row[]) => rows.at(-1) as Row & { data: Record<string, unknown> };

interface Listed {
  state: string;
  fingerprint: string;
  identity?: string;
}

/** What an admin is shown; `centreond keys list` prints the same. */
async function listed(): Promise<Listed[]> {
  const { keys: all } = (await (await connect(root)).request('KEYS', {})).data;
  return all as Listed[];
}

const stateOf = async (key: Key) => (await listed()).filter((entry) => entry.fingerprint === key.thumbprint);

test('an unknown key is refused in the usual words, and waits for the operator once it has proved itself', async () => {
  const [mine, stolen] = keys as [Key, Key];
  expect(await knock({ identity: 'carol', key: mine })).toBe(refusal);
  // A key is only listed by who has its private half.
  const forged = hello({ identity: 'dora', key: stolen, router, signature: () => Buffer.alloc(256, 7) });
  expect(await ask(forged.frame)).toBe(refusal);
  expect(await stateOf(mine)).toEqual([expect.objectContaining({ state: 'pending', fingerprint: mine.thumbprint })]);
  expect(await stateOf(stolen)).toEqual([]);
  const { stdout } = await daemon.cli('keys', 'list', '--json');
  expect((JSON.parse(stdout) as { keys: Listed[] }).keys).toEqual(await listed());
  expect(stdout).toContain('127.0.0.1');

  const accept = ['keys', 'accept', mine.thumbprint, '--identity', 'carol', '--role', 'client'];
  expect(await daemon.cli(...accept)).toMatchObject({ code: 0 });
  const carol = await connect({ identity: 'carol', key: mine });
  expect(carol.welcome?.data).toMatchObject({ identity: 'carol', roles: ['client'] });
  expect(await stateOf(mine)).toMatchObject([{ state: 'accepted', identity: 'carol' }]);
});

test('another key for a known identity is refused, and the operator sees both', async () => {
  const [, , changed] = keys as [Key, Key, Key];
  expect(await knock({ identity: 'alice', key: changed })).toBe(refusal);
  const accept = ['keys', 'accept', changed.thumbprint, '--identity', 'alice', '--role', 'client'];
  const { code, stdout, stderr } = await daemon.cli(...accept);
  expect(code).toBe(1);
  for (const key of [changed, alice.key]) expect(stdout + stderr).toContain(key.thumbprint);
  expect(await knock({ identity: 'alice', key: changed })).toBe(refusal);
  expect(await knock(alice)).toMatch(/^\[KEY\] /);
});

test('a revocation ends the live session within a second, beats the config, and outlives a restart', async () => {
  const victim = await connect(alice);
  const admin = await connect(root);
  const started = Date.now();
  expect(end(await admin.run('REVOKEKEY', { key: alice.key.thumbprint }))).toMatchObject({ code: 2 });
  expect(await victim.take(({ verb }) => verb === 'BYE', 'BYE')).toMatchObject({
    data: { reason: 'REVOKED' },
    clear: false,
  });
  expect(Date.now() - started).toBeLessThan(1000);
  await victim.send('[PING] [after] []');
  await victim.isOver();
  expect(await knock(alice)).toBe(refusal);
  expect(await stateOf(alice.key)).toMatchObject([{ state: 'revoked' }]);

  daemon.settings.core = { session: { idle: '1s' } };
  expect(await daemon.end('SIGTERM')).toBe(0);
  await daemon.start();
  expect(await knock(alice)).toBe(refusal);
  expect(await stateOf(alice.key)).toMatchObject([{ state: 'revoked' }]);
});

test('a session that is idle for too long is told IDLE and ends; its key stays', async () => {
  const carol = { identity: 'carol', key: keys[0] as Key };
  const [idle, busy] = [await connect(carol), await connect(root)];
  let over = false;
  const bye = idle
    .take(({ verb }) => verb === 'BYE', 'BYE')
    .finally(() => {
      over = true;
    });
  await until('the idle session ends', async () => {
    expect((await busy.ping()).code).toBe(0);
    return over;
  });
  expect(await bye).toMatchObject({ data: { reason: 'IDLE' }, clear: false });
  expect((await busy.ping()).code).toBe(0);
  expect((await (await connect(carol)).ping()).code).toBe(0);
});

test('strict refuses unknown keys unseen; whom SIGHUP takes out of the config is told so', async () => {
  const [, , , unknown] = keys as [Key, Key, Key, Key];
  const bob = whoOf(daemon.client('bob'));
  const reload = async (known: boolean) => {
    daemon.writeConfig();
    process.kill(daemon.pid, 'SIGHUP');
    await until('the config is read', async () => (await knock(bob)).startsWith('[KEY]') === known);
  };
  daemon.settings.trust = 'strict';
  await reload(true);
  expect(await knock({ identity: 'eve', key: unknown })).toBe(refusal);
  expect(await stateOf(unknown)).toEqual([]);

  const session = await connect(bob);
  daemon.clients.pop();
  await reload(false);
  expect(await session.take(({ verb }) => verb === 'BYE', 'BYE')).toMatchObject({ data: { reason: 'REVOKED' } });
});
