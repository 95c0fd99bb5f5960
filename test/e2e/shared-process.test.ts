import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { kill } from 'node:process';
import { type Client, connect } from '@centreond/client';
import { buildManifest } from '@centreond/plugin-kit/build';
import type { JsonObject } from '@centreond/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, isAlive, processesWith, ROOT, until } from '../daemon-process.ts';
import { pluginSource, tempPackage } from '../plugin-sdk/temp-package.ts';

const SECRET = 'the-secret-of-alpha-alone';

/** A plugin with actions that start with its type. `code` is what its PID answers beside the process. */
function source(type: string, code: number): string {
  const methods = `
    constructor(config, log) { Object.assign(this, { config, log }); }
    pid() { return { pid: process.pid, code: ${code} }; }
    say({ text }) {
      this.log.info({ ends: 'at six' }, 'logged by ${type}: ' + text);
      const line = 'printed by ${type}: ' + text + '\\n';
      for (const piece of [line.slice(0, -4), line.slice(-4)]) process.stdout.write(piece);
      return {};
    }
    crash() { setImmediate(() => { throw new Error('boom of ${type}'); }); return new Promise(() => {}); }
    exit() { setImmediate(() => process.exit(3)); return new Promise(() => {}); }`;
  const name = type.toUpperCase();
  const body = `
    act('${name}_PID', { output: z.looseObject({}) }, 'pid');
    act('${name}_SAY', { input: z.looseObject({}) }, 'say');
    act('${name}_CRASH', {}, 'crash');
    act('${name}_EXIT', {}, 'exit');
    [CONFIG, LOGGER].forEach((token, i) => inject(token)(Sample, undefined, i));`;
  const config = `z.strictObject({ password: z.string().meta({ format: 'centreond-secret' }).optional() })`;
  return `import { CONFIG, LOGGER, inject } from '@centreond/plugin-sdk';
${pluginSource(`type: '${type}', config: ${config}`, body, methods)}`;
}

async function neighbour(type: string): Promise<string> {
  const folder = tempPackage({ 'index.js': source(type, 1) });
  await buildManifest(folder);
  return folder;
}

interface Plugin {
  type: string;
  state: string;
  sharedWith?: string[];
  instances: { pid: number | null; state: string }[];
}

describe('plugins that share a process', () => {
  const daemon = new DaemonProcess();
  let client: Client;
  let alpha: string;
  beforeAll(async () => {
    alpha = await neighbour('alpha');
    writeFileSync(path.join(daemon.folder, 'password'), SECRET, { mode: 0o600 });
    const process = 'shared';
    daemon.settings.plugins = [
      { package: alpha, process, restart: { max: 2, within: '10m' }, config: { password: 'file:password' } },
      { package: await neighbour('beta'), process },
      { package: path.join(ROOT, 'plugins/action'), process },
    ];
    const admin = daemon.client('root', ['admin']);
    await daemon.start();
    client = await connect(daemon.door(admin));
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
  });

  const plugins = async () =>
    ((await client.send('INFORMATION', {})).data.plugins as unknown as Plugin[]).filter(({ type }) => type !== 'core');
  const call = async (action: string, input: JsonObject = {}) => (await client.call(action, input)).data as JsonObject;
  const pids = async () => new Set((await plugins()).flatMap(({ instances }) => instances.map(({ pid }) => pid)));
  /** The newest end of a plugin's instance, as `why` shows it. */
  const causeOf = async (type: string) =>
    ((await client.send('WHY', { type })).data.exits as unknown as { cause: string }[])[0]?.cause;
  /** Resolves with the process that all of them run in, once they do. */
  const together = async (besides: unknown, running?: number): Promise<number> => {
    let pid = 0;
    await until('they run in one process', async () => {
      const all = await plugins();
      const ready = all.filter(({ state }) => state === 'ready');
      const found = [...new Set(ready.flatMap(({ instances }) => instances.map((one) => one.pid)))];
      pid = found[0] ?? 0;
      return ready.length === (running ?? all.length) && found.length === 1 && pid !== besides;
    });
    return pid;
  };
  const sleeper = () => client.call('COMMAND', { command: 'sleep 7654' }).catch(() => undefined);
  const sleeping = () => processesWith('7654').length > 0;

  test('have one pid, and each answers', async () => {
    const pid = await together(0);
    expect(await call('ALPHA_PID')).toEqual({ pid, code: 1 });
    expect(await call('BETA_PID')).toEqual({ pid, code: 1 });
    expect(await call('COMMAND', { command: 'echo hello' })).toMatchObject({ stdout: 'hello\n' });
    expect((await plugins()).map(({ type, sharedWith }) => [type, sharedWith])).toEqual([
      ['alpha', ['beta', 'action']],
      ['beta', ['alpha', 'action']],
      ['action', ['alpha', 'beta']],
    ]);
    expect((await daemon.cli('status')).stdout).toContain(
      'action, alpha, beta share a process: they end and restart together.',
    );
    expect((await daemon.cli('plugins', 'beta')).stdout).toContain('Its process is shared with alpha, action');
  });

  test('have names of their own in the log, and a secret of one is in no line of another', async () => {
    await call('BETA_SAY', { text: SECRET });
    await call('ALPHA_SAY', { text: 'nothing' });
    await until('all is logged', () => /printed by alpha/.test(daemon.stderr));
    const lines = daemon.stderr.split('\n').filter(Boolean);
    const entries = lines.flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as JsonObject] : []));
    const written = entries.filter(({ msg }) => /^(logged|printed) by/.test(String(msg)));
    expect(written.map(({ plugin, msg }) => [plugin, msg])).toEqual([
      ['beta', 'logged by beta: [secret]'],
      ['beta', 'printed by beta: [secret]'],
      ['alpha', 'logged by alpha: nothing'],
      ['alpha', 'printed by alpha: nothing'],
    ]);
    expect(daemon.stderr).not.toContain(SECRET);
  });

  test('all end and restart together when one of them crashes, which is named, and commands die with the process', async () => {
    const before = await together(0);
    void sleeper();
    await until('a command runs', sleeping);
    void client.call('ALPHA_CRASH', {});
    await together(before);
    const cause = 'exit code 1: nothing caught what was thrown: boom of alpha';
    expect(await causeOf('alpha')).toBe(cause);
    for (const type of ['beta', 'action'])
      expect(await causeOf(type)).toBe(`ended with alpha, which shares its process: ${cause}`);
    await until('the command is gone', () => !sleeping());
  });

  test('all end when one of them calls process.exit, which is named', async () => {
    const before = await together(0);
    void client.call('BETA_EXIT', {});
    await together(before);
    expect(await causeOf('alpha')).toBe(
      'ended with beta, which shares its process: exit code 3: it called process.exit(3)',
    );
  });

  test('all end by KILL of one, which says so', async () => {
    const before = await together(0);
    const { code, stdout } = await daemon.cli('kill', 'beta');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'beta: ended 1. It shares its process with alpha, action, which ended with it.\n',
    });
    await together(before);
    expect(await causeOf('alpha')).toMatch(/^ended with beta, which shares its process: /);
  });

  test('go on without the one that crashes too often', async () => {
    for (let times = 0; times < 2; times++) {
      await until('it runs', async () => (await client.call('ALPHA_PID', {}).catch(() => undefined))?.ok === true);
      const before = (await call('ALPHA_PID')).pid;
      void client.call('ALPHA_CRASH', {}).catch(() => {});
      await until('another process runs', async () => {
        const { data } = (await client.call('BETA_PID', {}).catch(() => undefined)) ?? {};
        return typeof (data as JsonObject | undefined)?.pid === 'number' && (data as JsonObject).pid !== before;
      });
    }
    const states = async () => (await plugins()).map(({ type, state }) => `${type} ${state}`);
    await until('it is quarantined', async () => (await states()).includes('alpha quarantined'));
    await together(0, 2);
    expect(await states()).toEqual(['alpha quarantined', 'beta ready', 'action ready']);
    expect((await daemon.cli('kill', 'alpha')).code).toBe(0);
    await together(0);
  });

  test('are all moved into another process by a reload of one, with the code of now, and nothing is lost', async () => {
    const before = await together(0);
    const running = client.call('COMMAND', { command: ['sh', '-c', 'sleep 3; echo it-is-over'] });
    await until('it runs', () => processesWith('it-is-over').length > 0);
    writeFileSync(path.join(alpha, 'index.js'), source('alpha', 2));
    const { code, stdout } = await daemon.cli('reload', 'beta');
    expect(code).toBe(0);
    expect(stdout).toContain('It shares its process with alpha, action, which were reloaded with it.');
    const pid = await together(before);
    expect(await call('ALPHA_PID')).toEqual({ pid, code: 2 });
    expect((await running).data).toMatchObject({ stdout: 'it-is-over\n' });
    expect(isAlive(before)).toBe(false);
  });

  test('stay with the old process when one of them does not start in the new one', async () => {
    const before = await together(0);
    const sound = readFileSync(path.join(alpha, 'index.js'), 'utf8');
    writeFileSync(path.join(alpha, 'index.js'), 'throw new Error("not today");');
    const { code, stderr } = await daemon.cli('reload', 'beta');
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/not today/);
    expect(await pids()).toEqual(new Set([before]));
    expect(await call('BETA_PID')).toMatchObject({ pid: before });
    writeFileSync(path.join(alpha, 'index.js'), sound);
  });

  test('are moved into another process when one of them is unloaded', async () => {
    const before = await together(0);
    expect((await daemon.cli('unload', 'alpha')).code).toBe(0);
    await together(before);
    expect((await plugins()).map(({ type, sharedWith }) => [type, sharedWith])).toEqual([
      ['beta', ['action']],
      ['action', ['beta']],
    ]);
    expect(isAlive(before)).toBe(false);
  });

  test('leave nothing behind when the daemon stops', async () => {
    void sleeper();
    await until('a command runs', sleeping);
    const pid = await together(0);
    await client.close();
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect(isAlive(pid)).toBe(false);
    expect(sleeping()).toBe(false);
    expect(processesWith(daemon.folder)).toEqual([]);
  });
});

describe('plugins that run in a shared process, when another joins or leaves it', () => {
  const daemon = new DaemonProcess();
  const process = 'shared';
  let client: Client;
  let joining: string;
  beforeAll(async () => {
    joining = await neighbour('joining');
    const leaving = tempPackage({
      'index.js': pluginSource(`type: 'leaving'`, '', 'stop() { return new Promise(() => {}); }'),
    });
    await buildManifest(leaving);
    daemon.settings.plugins = [leaving, await neighbour('beta'), path.join(ROOT, 'plugins/action')].map((each) => ({
      package: each,
      process,
    }));
    const admin = daemon.client('root', ['admin']);
    await daemon.start();
    client = await connect(daemon.door(admin));
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
  });

  const pid = async () => ((await client.call('BETA_PID', {})).data as JsonObject).pid;
  const applied = async () => {
    const from = daemon.stderr.length;
    daemon.writeConfig();
    kill(daemon.pid, 'SIGHUP');
    await until('it is read', () => daemon.stderr.slice(from).includes('read the configuration again'));
    return daemon.stderr.slice(from);
  };

  test('lose nothing to one that is unloaded and does not stop', async () => {
    const before = await pid();
    const running = client.call('COMMAND', { command: ['sh', '-c', 'sleep 2; echo it-went-on'] });
    await until('it runs', () => processesWith('it-went-on').length > 0);
    expect((await daemon.cli('unload', 'leaving')).code).toBe(0);
    expect((await running).data).toMatchObject({ stdout: 'it-went-on\n' });
    expect(await pid()).not.toBe(before);
    daemon.settings.plugins?.shift();
    await applied();
  });

  test('lose nothing to one that does not start, be it new or in a process of its own before', async () => {
    const before = await pid();
    const sound = readFileSync(path.join(joining, 'index.js'), 'utf8');
    const entry = { package: joining, restart: { max: 0, within: '10m' } };
    daemon.settings.plugins?.push(entry);
    await applied();
    expect((await client.call('JOINING_PID', {})).ok).toBe(true);
    writeFileSync(path.join(joining, 'index.js'), 'throw new Error("not today");');
    Object.assign(entry, { process });
    expect(await applied()).toMatch(/not reloaded .*not today/);
    expect(await pid()).toBe(before);
    daemon.settings.plugins?.pop();
    await applied();
    daemon.settings.plugins?.push(entry);
    expect(await applied()).toMatch(/not loaded .*not today/);
    expect(await pid()).toBe(before);
    daemon.settings.plugins?.pop();
    await applied();
    writeFileSync(path.join(joining, 'index.js'), sound);
    daemon.settings.plugins?.push(entry);
    expect(await applied()).toMatch(/loaded /);
    await until('they share one', async () => {
      const joined = (await client.call('JOINING_PID', {})).data as JsonObject;
      return joined.pid === (await pid()) && joined.pid !== before;
    });
  });
});

describe('the instances of a plugin in a shared process', () => {
  const daemon = new DaemonProcess();
  let client: Client;
  beforeAll(async () => {
    const packages = ['keyed', 'pool'].map((name) => path.join(ROOT, 'test/fixtures', name));
    daemon.settings.plugins = packages.map((name) => ({ package: name, process: 'shared' }));
    const admin = daemon.client('root', ['admin']);
    await daemon.start();
    client = await connect(daemon.door(admin));
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
  });

  test('are seats of it: those of a pool, and one for each key, which rests by itself', async () => {
    const visit = async (city: string) => (await client.call('VISIT', { city })).data as JsonObject;
    const { pid } = (await client.call('TASK', {})).data as JsonObject;
    expect(await visit('paris')).toEqual({ pid, requests: 1 });
    expect(await visit('lyon')).toEqual({ pid, requests: 1 });
    expect(await visit('paris')).toEqual({ pid, requests: 2 });
    const plugins = async () => (await client.send('INFORMATION', {})).data.plugins as unknown as Plugin[];
    await until(
      'both rest',
      async () => (await plugins()).find(({ type }) => type === 'keyed')?.instances.length === 0,
    );
    const pool = (await plugins()).find(({ type }) => type === 'pool');
    expect(pool?.instances.map((one) => one.pid)).toEqual([pid, pid, pid]);
    expect(await visit('paris')).toEqual({ pid, requests: 1 });
    expect(await client.send('WHY', { type: 'pool' })).toMatchObject({ data: { exits: [] } });
  });
});
