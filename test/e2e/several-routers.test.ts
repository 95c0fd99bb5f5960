import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { formatJoinCode, parseJoinCode } from '../../core/dist/doors/join-code.js';
import { cli, DaemonProcess, type Identity, ROOT, seconds, until } from '../daemon-process.ts';

// Each of them starts several processes, one after the other.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

/** The next router has the session within so many seconds of the loss of the present one. */
const PROMISED_S = 10;
const BIN = path.join(ROOT, 'core/bin/centreond.js');
const PROBE = path.join(ROOT, 'test/fixtures/probe');

/** Two routers that are no cluster: each has a key, a history and trust of its own, and lets alice in. */
let a: DaemonProcess;
let b: DaemonProcess;
let alice: Identity;
let folder: string;
const open: AsyncDisposable[] = [];

beforeEach(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-several-'));
  [a, b] = ['a', 'b'].map((id) => new DaemonProcess({ core: { id }, plugins: [{ package: PROBE }] })) as [
    DaemonProcess,
    DaemonProcess,
  ];
  alice = a.client('alice', ['admin']);
  b.clients.push({ identity: 'alice', fingerprint: alice.fingerprint, roles: ['admin'] });
  await Promise.all([a.start(), b.start()]);
  expect(a.fingerprint).not.toBe(b.fingerprint);
});
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
  await Promise.all([a.dispose(), b.dispose()]);
  rmSync(folder, { recursive: true, force: true });
});

async function client(): Promise<Client> {
  const routers = [a, b].map(({ endpoint: address, fingerprint }) => ({ address, fingerprint }));
  const made = await connect({ routers, identity: 'alice', key: alice.key });
  open.push(made);
  return made;
}

const LOSSES = [
  ['is killed', () => a.end('SIGKILL')],
  ['stops', () => a.end('SIGTERM')],
  ['stands still, its sockets open', () => process.kill(a.pid, 'SIGSTOP')],
] as const;

describe('a client of two routers', () => {
  test.each(LOSSES)('goes on at the second within 10 s where the first %s', async (_, lose) => {
    const made = await client();
    expect([made.id, made.address]).toEqual(['a', a.endpoint]);
    expect((await made.call('ECHO', { n: 1 })).ok).toBe(true);
    const taken = await seconds(async () => {
      await lose();
      // Sent to the first, which may have taken it and says no more.
      const outcome = await made.call('ECHO', { n: 2 }, { token: 'the-same' });
      expect(outcome).toMatchObject({ ok: true, token: 'the-same' });
    });
    expect(taken).toBeLessThan(PROMISED_S);
    expect([made.id, made.address, made.routerFingerprint]).toEqual(['b', b.endpoint, b.fingerprint]);
    expect((await made.query({ token: 'the-same' })).map(({ code }) => code)).toEqual([0, 2]);
  });
});

test('the command line goes to the second where the first is gone, and says what a list of both needs', async () => {
  const who = ['--key', alice.file, '--identity', 'alice'];
  const both = ['--connect', `${a.endpoint},${b.endpoint}`, '--router', `${a.fingerprint},${b.fingerprint}`, ...who];
  const idOf = async () => {
    const { code, stdout, stderr } = await cli(folder, '--json', ...both, 'status');
    expect([code, stderr]).toEqual([0, '']);
    return (JSON.parse(stdout) as { id: string }).id;
  };
  expect(await idOf()).toBe('a');
  await a.end('SIGKILL');
  expect(await idOf()).toBe('b');
  const short = await cli(folder, ...both, '--router', a.fingerprint, 'status');
  expect([short.code, short.stderr]).toEqual([2, expect.stringContaining('--connect names 2 and --router 1: give a')]);
  await b.end('SIGKILL');
  const none = await cli(folder, ...both, 'status');
  expect(none.code).toBe(3);
  for (const { endpoint } of [a, b]) expect(none.stderr).toContain(`${endpoint}: nobody listens at this address`);
});

describe('a node whose join line names two routers', () => {
  let poller: ChildProcess | undefined;
  let log = '';
  let exited: Promise<unknown>;
  afterEach(async () => {
    poller?.kill('SIGKILL');
    await exited;
  });

  /** The line names b first, which does not know its token. */
  async function lineOfBoth(): Promise<string> {
    const { stdout } = await a.cli('join', 'paris-1', '--json');
    const one = parseJoinCode((JSON.parse(stdout) as { code: string }).code);
    const others = [{ address: a.endpoint, fingerprint: a.fingerprint }];
    return formatJoinCode({ ...one, address: b.endpoint, router: b.fingerprint, others });
  }

  async function pasteLine(): Promise<void> {
    const both = await lineOfBoth();
    log = '';
    poller = spawn(process.execPath, [BIN, 'start', '--join', both, '--json'], { cwd: folder });
    poller.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
    exited = new Promise((resolve) => poller?.once('close', resolve));
    await up(await at(a));
  }

  /** What a router says of paris-1. */
  async function at(router: DaemonProcess): Promise<() => Promise<string | undefined>> {
    const made = await connect(router.door(alice));
    open.push(made);
    return async () => {
      const { nodes } = (await made.send('CONSTATUS')).data as unknown as { nodes: { id: string; state: string }[] };
      return nodes.find(({ id }) => id === 'paris-1')?.state;
    };
  }
  const up = (state: () => Promise<string | undefined>) =>
    until('paris-1 is up', async () => (await state()) === 'up').catch((error: unknown) => {
      throw new Error(log, { cause: error });
    });

  test('is told of both where neither lets it in, and where neither is there', async () => {
    const line = await lineOfBoth();
    await a.cli('keys', 'revoke', 'paris-1');
    const refused = await cli(folder, 'start', '--join', line);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/^JOIN_REFUSED: /)]);
    expect(refused.stderr).toContain(`${b.endpoint} or ${a.endpoint} does not let this machine join as paris-1`);
    await Promise.all([a.end('SIGKILL'), b.end('SIGKILL')]);
    const gone = await cli(folder, 'start', '--join', line);
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringMatching(/^JOIN_UNREACHABLE: /)]);
    for (const { endpoint } of [a, b]) expect(gone.stderr).toContain(`No session with ${endpoint}`);
  });

  test.each(LOSSES)(
    'joins at the one that knows it, and is at the other within 10 s where that %s',
    async (_, lose) => {
      await pasteLine();
      expect(log).toContain(`paris-1 is a node of the router a (${a.endpoint}) now`);
      const written = readFileSync(path.join(folder, 'centreond.yaml'), 'utf8');
      for (const { endpoint, fingerprint } of [a, b])
        for (const word of [endpoint, fingerprint]) expect(written).toContain(`"${word}"`);
      expect(await cli(folder, 'check')).toMatchObject({ code: 0 });
      // As the routers of a cluster do by themselves.
      const { stdout } = await cli(folder, 'keys', 'show', '--json');
      const { fingerprint } = JSON.parse(stdout) as { fingerprint: string };
      const accepted = await b.cli('keys', 'accept', fingerprint, '--identity', 'paris-1', '--role', 'node');
      expect(accepted.code).toBe(0);
      const stateAtB = await at(b);
      expect(await stateAtB()).not.toBe('up');
      const taken = await seconds(async () => {
        await lose();
        await up(stateAtB);
      });
      expect(taken).toBeLessThan(PROMISED_S);
      const ping = await b.cli('call', 'PING', '--target', 'paris-1', '--json');
      expect([ping.code, ping.stdout]).toEqual([0, expect.stringContaining('paris-1')]);
    },
  );
});
