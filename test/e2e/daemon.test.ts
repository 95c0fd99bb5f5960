import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../../core/dist/config/config.js';
import { cli, DaemonProcess, type Identity, ROOT, until } from '../daemon-process.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const ACTION = path.join(ROOT, 'plugins/action');
const python = ['/usr/bin/python3', '/usr/local/bin/python3'].find((file) => existsSync(file));

describe('a daemon with a plugin', () => {
  const daemon = new DaemonProcess({
    // What writes as fast as it can on a busy machine is not stuck.
    plugins: [{ package: ACTION }, { package: PROBE, restart: { max: 100, within: '1s' }, limits: { stuck: '60s' } }],
  });
  let alice: Client;
  let admin: Client;
  beforeAll(async () => {
    const who = [daemon.client('alice'), daemon.client('root', ['admin'])] as const;
    await daemon.start();
    [alice, admin] = await Promise.all([connect(daemon.door(who[0])), connect(daemon.door(who[1]))]);
  });
  afterAll(async () => {
    await alice?.close();
    await admin?.close();
    await daemon.dispose();
  });

  test('runs a real command for a client at the encrypted door, and its output is in the history of the token', async () => {
    const rows: HistoryRow[] = [];
    const outcome = await alice.call('COMMAND', { command: 'uname -s' }, { onRow: (row) => rows.push(row) });
    expect(outcome).toMatchObject({ ok: true, code: 2, data: { exitCode: 0, stdout: 'Linux\n' } });
    expect(rows.map(({ code }) => code)).toEqual([0, 100, 2]);
    expect(await alice.query({ token: outcome.token })).toEqual(rows);
    expect(rows.every(({ type, node }) => type === 'COMMAND' && node === 'central')).toBe(true);
  });

  test('gives a command its arguments as they are, whatever their script, and tells exit codes and signals', async () => {
    const words = ['日本語', 'naïve “quotes”', '$HOME', '*'];
    const echo = await alice.call('COMMAND', { command: ['printf', '%s|', ...words] });
    expect(echo.data).toMatchObject({ stdout: words.map((word) => `${word}|`).join('') });
    expect((await alice.call('COMMAND', { command: 'sh -c "exit 7"' })).data).toMatchObject({
      exitCode: 7,
      signal: null,
    });
    const killed = await alice.call('COMMAND', { command: ['sh', '-c', 'kill -9 $$'] });
    expect(killed.data).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
    const absent = await alice.call('COMMAND', { command: 'no-such-program-here' });
    expect(absent).toMatchObject({ ok: false, code: 1 });
    expect(JSON.stringify(absent.data)).toContain('no-such-program-here');
  });

  test('runs 200 commands at once', async () => {
    const calls = Array.from({ length: 200 }, (_, i) =>
      alice.call('COMMAND', { command: ['sh', '-c', `sleep 0.3; echo ${i}`] }),
    );
    const outcomes = await Promise.all(calls);
    expect(outcomes.map(({ data }) => (data as { stdout: string }).stdout)).toEqual(calls.map((_, i) => `${i}\n`));
  });

  test('bounds 10 MB of output and says that it was cut', async () => {
    const { data } = await alice.call('COMMAND', { command: ['sh', '-c', 'head -c 10000000 /dev/zero | tr "\\0" x'] });
    const { stdout, truncated } = data as { stdout: string; truncated: boolean };
    expect(truncated).toBe(true);
    expect(stdout.length).toBe(1024 * 1024);
  });

  test('cancels a running request, and only for its owner or an admin', async () => {
    const bob = daemon.client('bob');
    process.kill(daemon.pid, 'SIGHUP');
    daemon.writeConfig();
    process.kill(daemon.pid, 'SIGHUP');
    const other = await connect(daemon.door(bob));
    const call = alice.call('SLEEP', { ms: 60_000 }, { token: 'to-cancel' });
    await until('it runs', async () => (await alice.query({ token: 'to-cancel' })).length === 1);
    await expect(other.cancel('to-cancel')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await alice.cancel('to-cancel');
    expect(await call).toMatchObject({ ok: false, data: { error: 'CANCELLED' } });
    await other.close();
  });

  test('ends a request that takes too long with TIMEOUT', async () => {
    expect((await alice.call('SLEEP', { ms: 60_000 })).data).toMatchObject({ error: 'TIMEOUT' });
  });

  test('writes rows of progress in order, each once', async () => {
    const rows: HistoryRow[] = [];
    await alice.call('STEPS', { rows: 5000 }, { onRow: (row) => rows.push(row) });
    expect(rows.length).toBe(5002);
    expect(rows.slice(1, -1).map(({ data }) => (data as { step: number }).step)).toEqual(
      Array.from({ length: 5000 }, (_, i) => i + 1),
    );
    expect(rows.every(({ id }, i) => i === 0 || id > (rows[i - 1] as HistoryRow).id)).toBe(true);
  });

  test('a plugin that writes faster than the disk takes waits for it, and its router keeps little of it', async () => {
    const rows = 50_000;
    const token = 'flood';
    let queued = 0;
    let ended = false;
    const outcome = alice.call('FLOOD', { rows }, { token }).finally(() => {
      ended = true;
    });
    while (!ended) {
      const counters = (await admin.send('INFORMATION')).data.counters as { store: { queued: number } };
      queued = Math.max(queued, counters.store.queued);
    }
    expect(await outcome).toMatchObject({ ok: true, data: { rows } });
    expect(queued).toBeGreaterThan(0);
    expect(queued).toBeLessThan(3000);
    const db = new Database(daemon.database, { readonly: true });
    const steps = db.prepare("SELECT data ->> 'step' FROM centreond_history WHERE token = ? AND code = 50 ORDER BY id");
    const written = steps.pluck().all(token);
    db.close();
    expect(written).toEqual(Array.from({ length: rows }, (_, step) => step));
  });

  test('and is refused a row where a hundred thousand wait', async () => {
    const { data } = await alice.call('FLOOD', { rows: 110_000 });
    const { rows } = data as { rows: number };
    expect(rows).toBeGreaterThanOrEqual(100_000);
    expect(rows).toBeLessThan(110_000);
  });

  test('says what a plugin threw, and refuses output that its schema does not allow', async () => {
    expect((await alice.call('THROW', {})).data).toEqual({ error: 'ACTION_FAILED', message: 'thrown as asked' });
    expect((await alice.call('WRONG', {})).data).toMatchObject({ error: 'INVALID_OUTPUT' });
  });

  test('ends what a crashed plugin ran with PLUGIN_CRASHED, restarts it and serves on', async () => {
    const [crash, beside] = await Promise.all([alice.call('CRASH', {}), alice.call('SLEEP', { ms: 60_000 })]);
    expect(crash.data).toMatchObject({ error: 'PLUGIN_CRASHED' });
    expect(beside.data).toMatchObject({ error: 'PLUGIN_CRASHED' });
    expect((await alice.call('ECHO', { back: true })).data).toEqual({ back: true });
  });

  test('lets a plugin call other actions and read what came of them', async () => {
    const { data } = await alice.call('RELAY', { action: 'COMMAND', data: { command: 'echo relayed' } });
    expect(data).toMatchObject({ ok: true, data: { stdout: 'relayed\n' }, rows: 3 });
    expect((await alice.call('RELAY', { action: 'RELAYS', data: {} })).data).toMatchObject({
      error: 'CALL_REFUSED',
      cause: { error: 'UNKNOWN_ACTION' },
    });
  });

  test('keeps an action for admins from others', async () => {
    await expect(alice.send('LOCKED', {})).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect((await admin.call('LOCKED', {})).ok).toBe(true);
  });

  test('says what runs, with figures', async () => {
    const { data } = await admin.send('INFORMATION', {});
    expect(data).toMatchObject({
      id: 'central',
      version: '0.1.0',
      actions: expect.arrayContaining(['COMMAND', 'PING']),
    });
    const probe = (data.plugins as { type: string }[]).find(({ type }) => type === 'probe');
    expect(probe).toMatchObject({ state: 'ready', instances: [{ pid: expect.any(Number), inFlight: 0, restarts: 1 }] });
  });

  test('revokes a key and ends its session within a second', async () => {
    const eve: Identity = daemon.client('eve');
    daemon.writeConfig();
    process.kill(daemon.pid, 'SIGHUP');
    const client = await connect(daemon.door(eve));
    const lost = new Promise((resolve) => client.on('lost', resolve));
    const startedAt = performance.now();
    expect(await daemon.cli('keys', 'revoke', 'eve')).toMatchObject({ code: 0 });
    await lost;
    expect(performance.now() - startedAt).toBeLessThan(5000);
    await client.close();
    const listed = JSON.parse((await daemon.cli('keys', 'list', '--json')).stdout) as {
      keys: { state: string; identity: string }[];
    };
    expect(listed.keys.find(({ identity }) => identity === 'eve')).toMatchObject({ state: 'revoked' });
  });
});

describe('the command line', () => {
  const daemon = new DaemonProcess({});
  beforeAll(async () => void (await daemon.start()));
  afterAll(() => daemon.dispose());

  test('calls, follows, reads and prints one JSON object a line', async () => {
    const called = await daemon.cli('call', 'COMMAND', 'command=echo hi', '--json');
    expect(called).toMatchObject({ code: 0, stderr: '' });
    const row = JSON.parse(called.stdout) as HistoryRow;
    expect(row).toMatchObject({ code: 2, data: { stdout: 'hi\n' } });
    const log = await daemon.cli('log', row.token, '--json');
    expect(
      log.stdout
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as HistoryRow).code),
    ).toEqual([0, 100, 2]);
    const human = await daemon.cli('call', 'COMMAND', '{"command":"echo hi"}');
    expect(human.stdout).toMatch(/^COMMAND \S+ finished \(2\)\n {2}exitCode {3}0\n/);
  });

  const bin = path.join(ROOT, 'core/bin/centreond.js');
  const command = (...args: string[]) =>
    spawnSync(args[0] as string, args.slice(1), { cwd: daemon.folder, encoding: 'utf8' });

  test('reads DATA from a file and from standard input, and says where there is none', async () => {
    const file = path.join(daemon.folder, 'data.json');
    writeFileSync(file, '{"command": ["echo", "of a file"]}');
    expect((await daemon.cli('call', 'COMMAND', `@${file}`)).stdout).toContain('of a file');
    const piped = command(
      'sh',
      '-c',
      `echo '{"command":"echo piped"}' | "$0" "$1" call COMMAND -`,
      process.execPath,
      bin,
    );
    expect(piped.stdout).toContain('stdout     piped\n');
    const missing = await daemon.cli('call', 'COMMAND', '@nowhere.json');
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining('nowhere.json has no DATA: ENOENT')]);
  });

  test.skipIf(!python)('shows what would steer a terminal as text there, and leaves it alone in a pipe', async () => {
    const args = ['call', 'COMMAND', JSON.stringify({ command: ['printf', 'a\\tb\\033[31mred\\nnext'] })];
    const inPipe = await daemon.cli(...args);
    expect(inPipe.stdout).toContain('a\tb\x1b[31mred\n');
    const spawned = 'import pty, sys; pty.spawn(sys.argv[1:])';
    const onTerminal = command(python as string, '-c', spawned, process.execPath, bin, ...args);
    expect(onTerminal.stdout).toContain('a\tb�[31mred\r\n');
    expect(onTerminal.stdout).toContain('next');
  });

  test('exits 1 where a request failed, 2 for wrong usage, 3 without a daemon, 4 when it waited too long', async () => {
    expect((await daemon.cli('call', 'COMMAND', 'command=true')).code).toBe(0);
    expect((await daemon.cli('call', 'COMMAND', 'command=no-such-program')).code).toBe(1);
    expect((await daemon.cli('call', 'COMAND', 'command=ls')).code).toBe(1);
    expect((await daemon.cli('call')).code).toBe(2);
    expect(await daemon.cli('--version')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
    expect((await daemon.cli('call', 'COMMAND', 'nonsense')).code).toBe(2);
    expect((await daemon.cli('call', 'COMMAND', 'command=sleep 30', '--timeout', '200ms')).code).toBe(4);
    const alone = new DaemonProcess({});
    alone.writeConfig();
    expect((await alone.cli('status')).code).toBe(3);
    await alone.dispose();
  });

  test('reaches an external door with a key of its own, once the operator accepted it', async () => {
    const file = path.join(daemon.folder, 'carol.pem');
    const made = JSON.parse((await daemon.cli('keys', 'generate', file, '--json')).stdout) as { fingerprint: string };
    const remote = ['--connect', daemon.endpoint, '--key', file, '--identity', 'carol', '--router', daemon.fingerprint];
    expect(
      await daemon.cli('keys', 'accept', made.fingerprint, '--identity', 'carol', '--role', 'client'),
    ).toMatchObject({ code: 0 });
    const called = await daemon.cli(...remote, 'call', 'COMMAND', 'command=echo from afar', '--json');
    expect(JSON.parse(called.stdout)).toMatchObject({ code: 2, data: { stdout: 'from afar\n' } });
    expect((await daemon.cli(...remote, 'status')).code).toBe(0);
  });
});

test('init writes a config that serves, and never over one that is there', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'centreond-init-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const made = await cli(folder, 'init', '--id', 'true');
  expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining('npx centreond start') });
  const file = path.join(folder, 'centreond.yaml');
  const text = readFileSync(file, 'utf8');
  const { problems } = await loadConfig({ file, cwd: folder });
  expect(problems).toEqual([]);
  expect((await loadConfig({ file, cwd: folder })).config?.core.id).toBe('true');
  expect(await cli(folder, 'init')).toMatchObject({ code: 1, stderr: expect.stringContaining('CONFIG_EXISTS') });
  expect(readFileSync(file, 'utf8')).toBe(text);
  expect((await cli(folder, 'init', '--config', 'other.json')).code).toBe(2);
  expect((await cli(folder, 'init', '--config', 'other.yaml', '--id', 'no id')).code).toBe(2);
  expect(existsSync(path.join(folder, 'other.yaml'))).toBe(false);
});

test('a fingerprint that starts with a dash is a fingerprint, not an option', async () => {
  const alone = new DaemonProcess({});
  alone.writeConfig();
  const dashed = '-fRINJ3UU5onaadhPrSP0O6V-wiyRLOZ1rl6ovqO5wo';
  expect(await alone.cli('keys', 'accept', dashed, '--identity', 'dora', '--role', 'client')).toMatchObject({
    code: 0,
  });
  expect((await alone.cli('keys', 'list', '--json')).stdout).toContain(`"fingerprint":"${dashed}"`);
  expect(await alone.cli('keys', 'revoke', dashed)).toMatchObject({ code: 0 });
  await alone.dispose();
});

describe('starting and stopping', () => {
  test('stops at once when idle, and leaves neither process nor socket', async () => {
    const daemon = await new DaemonProcess({}).start();
    const startedAt = performance.now();
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(5000);
    await daemon.dispose();
  });

  test('a plugin that cannot start is named, and the rest is served', async () => {
    const daemon = new DaemonProcess({
      plugins: [
        { package: ACTION },
        { package: PROBE, config: { failStart: true }, restart: { max: 1, within: '60s' } },
        { package: './no-such-package' },
      ],
    });
    const alice = daemon.client('alice');
    await daemon.start();
    const client = await connect(daemon.door(alice));
    expect((await client.call('COMMAND', { command: 'true' })).ok).toBe(true);
    await until('it is quarantined', () => daemon.stderr.includes('quarantined'));
    await expect(client.send('ECHO', {})).rejects.toMatchObject({ code: 'NOT_READY' });
    expect(daemon.stderr).toContain('it was told not to start');
    expect(daemon.stderr).toContain('no-such-package');
    await client.close();
    await daemon.dispose();
  });

  test('every mistake of a config is told with its place, and nothing starts', async () => {
    const daemon = new DaemonProcess({ core: { dataDri: './var', maxMessage: 'plenty' }, trust: 'pendign' as never });
    await expect(daemon.start()).rejects.toThrow(/dataDri[\s\S]*plenty[\s\S]*pendign/);
    await daemon.dispose();
  });
});
