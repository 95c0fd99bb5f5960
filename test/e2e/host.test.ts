import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, isAlive, ROOT, until } from '../daemon-process.ts';

const KEYED = path.join(ROOT, 'test/fixtures/keyed');
const POOL = path.join(ROOT, 'test/fixtures/pool');

interface Instance {
  id: string;
  pid: number | null;
  state: string;
  restarts: number;
  rss: number | null;
}

async function instancesOf(client: Client, type: string): Promise<Instance[]> {
  const { data } = await client.send('INFORMATION', {});
  return (
    (data.plugins as unknown as { type: string; instances: Instance[] }[]).find((plugin) => plugin.type === type)
      ?.instances ?? []
  );
}

describe('instances', () => {
  const daemon = new DaemonProcess({});
  let client: Client;
  let ledger: string;
  beforeAll(async () => {
    ledger = path.join(daemon.folder, 'ledger');
    daemon.settings.plugins = [
      { package: KEYED, config: { ledger } },
      {
        package: POOL,
        config: { ledger },
        restart: { max: 50, within: '1s' },
        limits: { memory: '256MiB', processes: 20 },
      },
    ];
    const admin = daemon.client('root', ['admin']);
    await daemon.start();
    client = await connect(daemon.door(admin));
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
  });

  const visit = async (city: string) =>
    (await client.call('VISIT', { city })).data as { pid: number; requests: number };

  test('a keyed plugin has one process for each value of its key, made for the first request', async () => {
    expect(await instancesOf(client, 'keyed')).toEqual([]);
    const [paris, lyon] = await Promise.all([visit('paris'), visit('lyon')]);
    expect(paris.pid).not.toBe(lyon.pid);
    expect(await visit('paris')).toEqual({ pid: paris.pid, requests: 2 });
    expect((await instancesOf(client, 'keyed')).map(({ id }) => id).sort()).toEqual(['lyon', 'paris']);
  });

  test('an instance on demand rests after its idle time, and comes back for the next request', async () => {
    const { pid } = await visit('nice');
    await until('it rests', () => !isAlive(pid), 8000);
    expect((await visit('nice')).pid).not.toBe(pid);
  });

  test('a pool shares the work among its processes', async () => {
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => client.call('TASK', { ms: 200 })));
    expect(new Set(outcomes.map(({ data }) => (data as { pid: number }).pid)).size).toBe(3);
  });

  test('KILL ends one instance by its id, releases what it holds, and its requests end PLUGIN_KILLED', async () => {
    const { pid } = await visit('rome');
    const stay = client.call('STAY', { city: 'rome', ms: 60_000 }, { token: 'stay-rome' });
    const again = client.call('VISIT', { city: 'rome', ms: 700 });
    await until('it stays', () => readFileSync(ledger, 'utf8').includes('stay-rome'));
    const steps: unknown[] = [];
    const kill = await client.call('KILL', { type: 'keyed', id: 'rome' }, { onRow: ({ data }) => steps.push(data) });
    expect(kill).toMatchObject({ ok: true, data: { type: 'keyed', ended: ['rome'] } });
    expect(steps.length).toBeGreaterThan(2);
    expect(isAlive(pid)).toBe(false);
    expect(readFileSync(ledger, 'utf8')).toContain('released rome');
    expect((await stay).data).toMatchObject({ error: 'PLUGIN_KILLED' });
    const after = await again;
    expect(after.ok).toBe(true);
    expect((after.data as { pid: number }).pid).not.toBe(pid);
    await expect(client.send('KILL', { type: 'keyed', id: 'atlantis' })).rejects.toMatchObject({
      code: 'UNKNOWN_INSTANCE',
    });
    await expect(client.send('KILL', { type: 'nothing' })).rejects.toMatchObject({ code: 'UNKNOWN_INSTANCE' });
  });

  test('a second KILL joins the first, and one without an id ends all', async () => {
    const before = (await instancesOf(client, 'pool')).map(({ pid }) => pid);
    const [one, two] = await Promise.all([
      client.call('KILL', { type: 'pool' }),
      client.call('KILL', { type: 'pool' }),
    ]);
    expect(one.ok && two.ok).toBe(true);
    expect(before.some((pid) => pid !== null && isAlive(pid))).toBe(false);
    await until('all are back', async () =>
      (await instancesOf(client, 'pool')).every(({ state }) => state === 'ready'),
    );
  });

  test('what misbehaves is ended with its cause, and why says what it ran', async () => {
    const [leak, fork] = await Promise.all([client.call('LEAK', {}), client.call('FORK', {})]);
    expect(leak.data).toMatchObject({ error: 'PLUGIN_CRASHED', message: expect.stringMatching(/memory/) });
    expect(fork.data).toMatchObject({ error: 'PLUGIN_CRASHED', message: expect.stringMatching(/processes/) });
    const why = await daemon.cli('why', 'pool');
    expect(why.stdout).toMatch(/may use 256.*\(running LEAK /);
    expect(why.stdout).toMatch(/may have 20 \(running FORK /);
  });
});

describe('at run time', () => {
  const daemon = new DaemonProcess({});
  let client: Client;
  let copy: string;
  beforeAll(async () => {
    // A package of the operator's own, outside the workspace, that can change while the daemon runs.
    copy = path.join(ROOT, 'test/fixtures', `.copy-${process.pid}`);
    cpSync(POOL, copy, { recursive: true });
    daemon.settings.plugins = [{ package: path.join(ROOT, 'plugins/action') }];
    const admin = daemon.client('root', ['admin']);
    await daemon.start();
    client = await connect(daemon.door(admin));
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
    rmSync(copy, { recursive: true, force: true });
  });

  test('a plugin is loaded, reloaded under load without losing or repeating anything, and unloaded', async () => {
    await expect(client.send('TASK', {})).rejects.toMatchObject({ code: 'UNKNOWN_ACTION' });
    const ledger = path.join(daemon.folder, 'ledger');
    const loaded = await client.call('LOADPLUGIN', { package: copy, config: { ledger } });
    expect(loaded.data).toMatchObject({ type: 'pool', actions: expect.arrayContaining(['TASK']) });
    const calls = Array.from({ length: 600 }, (_, i) => client.call('TASK', { ms: 30 }, { token: `task-${i}` }));
    await until('some run', () => existsSync(ledger) && readFileSync(ledger, 'utf8').split('\n').length > 100);
    expect((await client.call('RELOADPLUGIN', { type: 'pool' })).ok).toBe(true);
    const outcomes = await Promise.all(calls);
    expect(outcomes.every(({ ok }) => ok)).toBe(true);
    const ran = readFileSync(ledger, 'utf8').trim().split('\n');
    expect(ran.length).toBe(600);
    expect(new Set(ran).size).toBe(600);
    expect((await client.call('UNLOADPLUGIN', { type: 'pool' })).ok).toBe(true);
    await expect(client.send('TASK', {})).rejects.toMatchObject({ code: 'UNKNOWN_ACTION' });
  });

  test('where the new version does not start, the old one keeps serving and the operator is told', async () => {
    expect((await daemon.cli('load', copy)).code).toBe(0);
    const main = path.join(copy, 'dist/index.js');
    const sound = readFileSync(main, 'utf8');
    writeFileSync(main, 'throw new Error("broken by its author");\n');
    const reload = await daemon.cli('reload', 'pool');
    expect(reload).toMatchObject({ code: 1, stderr: expect.stringMatching(/did not start.*keeps serving/) });
    expect((await client.call('TASK', {})).ok).toBe(true);
    writeFileSync(main, sound);
    expect((await daemon.cli('kill', 'pool', '1')).code).toBe(0);
    expect((await daemon.cli('reload', 'pool')).code).toBe(0);
    // How instances ended is not forgotten with their version.
    expect((await daemon.cli('why', 'pool')).stdout).toMatch(/instance 1 after .* s: /);
    expect((await daemon.cli('unload', 'pool')).code).toBe(0);
  });

  test('a manifest that does not fit what the code declares is MANIFEST_STALE and not routed', async () => {
    const main = path.join(copy, 'dist/index.js');
    const sound = readFileSync(main, 'utf8');
    writeFileSync(main, sound.replace('Work, once', 'Work, twice'));
    const load = await client.call('LOADPLUGIN', { package: copy });
    expect(load.data).toMatchObject({
      error: 'PLUGIN_NOT_STARTED',
      message: expect.stringContaining('MANIFEST_STALE'),
    });
    await expect(client.send('TASK', {})).rejects.toMatchObject({ code: 'UNKNOWN_ACTION' });
    writeFileSync(main, sound);
  });

  test('SIGHUP tries a reload again that failed, although the config is the same', async () => {
    const [first, second] = ['first', 'second'].map((name) => path.join(daemon.folder, name)) as [string, string];
    const configure = (ledger: string) => {
      daemon.settings.plugins = [{ package: path.join(ROOT, 'plugins/action') }, { package: copy, config: { ledger } }];
      daemon.writeConfig();
      process.kill(daemon.pid, 'SIGHUP');
    };
    const runsInto = (ledger: string) => async () => {
      await client.call('TASK', {}).catch(() => undefined);
      return existsSync(ledger);
    };
    configure(first);
    await until('it is loaded', runsInto(first));
    const main = path.join(copy, 'dist/index.js');
    const sound = readFileSync(main, 'utf8');
    writeFileSync(main, 'throw new Error("broken by its author");\n');
    configure(second);
    await until('the reload has failed', () => daemon.stderr.includes(`not reloaded ${copy}`));
    writeFileSync(main, sound);
    configure(second);
    await until('it is reloaded', runsInto(second));
  });

  test('SIGHUP loads what the config adds and unloads what it drops', async () => {
    daemon.settings.plugins = [{ package: path.join(ROOT, 'plugins/action') }, { package: KEYED }];
    daemon.writeConfig();
    process.kill(daemon.pid, 'SIGHUP');
    await until('it is there', () =>
      client.call('VISIT', { city: 'here' }).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    daemon.settings.plugins = [{ package: path.join(ROOT, 'plugins/action') }];
    daemon.writeConfig();
    process.kill(daemon.pid, 'SIGHUP');
    await until('it is gone', () =>
      client.send('VISIT', { city: 'here' }).then(
        () => false,
        (error: { code: string }) => error.code === 'UNKNOWN_ACTION',
      ),
    );
  });
});

test('eager instances start with the daemon once they were asked for, and again after a KILL', async () => {
  const daemon = new DaemonProcess({ plugins: [{ package: path.join(ROOT, 'test/fixtures/eager') }] });
  const admin = daemon.client('root', ['admin']);
  await daemon.start();
  const client = await connect(daemon.door(admin));
  await client.call('SHOP', { shop: 'books' });
  const [first] = await instancesOf(client, 'eager');
  await client.call('KILL', { type: 'eager', id: 'books' });
  await until('it is back', async () => {
    const [now] = await instancesOf(client, 'eager');
    return now?.state === 'ready' && now.pid !== first?.pid;
  });
  await daemon.end('SIGTERM');
  await daemon.start();
  await until('it has started by itself', async () => (await instancesOf(client, 'eager'))[0]?.state === 'ready');
  await client.close();
  await daemon.dispose();
});

describe("in the daemon's own process", () => {
  const RESIDENT = path.join(ROOT, 'test/fixtures/resident');
  const ACTION = path.join(ROOT, 'plugins/action');

  test('a plugin runs where the operator allows it, with the services of any other', async () => {
    const daemon = new DaemonProcess({ plugins: [{ package: ACTION }, { package: RESIDENT, allowCore: true }] });
    const admin = daemon.client('root', ['admin']);
    await daemon.start();
    const client = await connect(daemon.door(admin));
    expect((await client.call('RESIDE', {})).data).toEqual({ pid: daemon.pid, visits: 1, said: 'from the core\n' });
    expect((await client.call('RESIDE', {})).data).toMatchObject({ visits: 2 });
    expect((await client.call('KILL', { type: 'resident' })).ok).toBe(true);
    expect((await client.call('UNLOADPLUGIN', { type: 'resident' })).ok).toBe(true);
    await expect(client.send('RESIDE', {})).rejects.toMatchObject({ code: 'UNKNOWN_ACTION' });
    await client.close();
    await daemon.dispose();
  });

  test('and is left out, by name, where the operator does not', async () => {
    const daemon = new DaemonProcess({ plugins: [{ package: RESIDENT }] });
    await daemon.start();
    expect(daemon.stderr).toMatch(/PLUGIN_NEEDS_CORE.*allowCore: true/);
    await daemon.dispose();
  });
});
