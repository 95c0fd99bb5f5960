import { cpSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterEach, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';
import { processesOf, runs, terminalRows } from './ledger.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const POOL = path.join(ROOT, 'test/fixtures/pool');

let daemon: DaemonProcess | undefined;
let copy: string | undefined;
afterEach(async () => {
  await daemon?.dispose();
  if (copy) rmSync(copy, { recursive: true, force: true });
});

async function started(plugins: (folder: string) => object[]): Promise<{ daemon: DaemonProcess; client: Client }> {
  daemon = new DaemonProcess({ core: { log: { level: 'warn' } } });
  daemon.settings.plugins = plugins(daemon.folder);
  const admin = daemon.client('root', ['admin']);
  await daemon.start();
  return { daemon, client: await connect(daemon.door(admin)) };
}

test('a thousand requests in flight during reload, KILL, crash and quarantine have a thousand terminal rows, none twice', async () => {
  copy = path.join(ROOT, 'test/fixtures', `.copy-${process.pid}`);
  cpSync(POOL, copy, { recursive: true });
  const { daemon, client } = await started((folder) => [
    { package: copy, config: { ledger: path.join(folder, 'ledger') }, restart: { max: 8, within: '60s' } },
  ]);
  const outcomes = new Map<string, { code: number; error: string | undefined }>();
  const batch = (name: string) =>
    Promise.all(
      Array.from({ length: 250 }, async (_, i) => {
        const token = `${name}-${i}`;
        const { code, data } = await client.call('TASK', { ms: 100 }, { token });
        outcomes.set(token, { code, error: (data as { error?: string }).error });
      }),
    );
  const during = async (name: string, event: () => Promise<unknown>) => {
    const all = batch(name);
    await until('some run', () => [...runs(daemon).keys()].some((token) => token.startsWith(name)));
    await event();
    await all;
  };
  await during('reload', () => client.call('RELOADPLUGIN', { type: 'pool' }));
  await during('kill', () => client.call('KILL', { type: 'pool' }));
  await during('crash', () => client.call('LEAVE', {}));
  await during('quarantine', async () => {
    for (let i = 0; i < 30; i++)
      await client.call('LEAVE', {}).catch((error: { code: string }) => expect(error.code).toBe('NOT_READY'));
  });
  await client.close();
  await daemon.end('SIGTERM');

  expect(outcomes.size).toBe(1000);
  const terminal = terminalRows(daemon);
  expect([...outcomes.keys()].filter((token) => terminal.get(token) !== 1)).toEqual([]);
  expect([...runs(daemon)].filter(([, times]) => times > 1)).toEqual([]);
  const ended = (name: string) =>
    [...outcomes].filter(([token]) => token.startsWith(name)).map(([, outcome]) => outcome.error ?? 'ok');
  expect(new Set(ended('reload'))).toEqual(new Set(['ok']));
  expect(ended('kill').filter((end) => end !== 'ok' && end !== 'PLUGIN_KILLED')).toEqual([]);
  expect(ended('crash').filter((end) => end !== 'ok' && end !== 'PLUGIN_CRASHED')).toEqual([]);
  expect(ended('crash')).toContain('ok');
  expect(ended('quarantine')).toContain('PLUGIN_CRASHED');
});

test('an instance whose event loop is stuck is ended and named with what it ran', async () => {
  const { daemon, client } = await started(() => [{ package: POOL, limits: { stuck: '2s' } }]);
  const stuck = await client.call('LOOP', {}, { token: 'the-loop' });
  expect(stuck.data).toMatchObject({
    error: 'PLUGIN_CRASHED',
    message: expect.stringMatching(/stuck for 2 s \(running LOOP the-loop\)/),
  });
  expect((await daemon.cli('why', 'pool')).stdout).toContain('LOOP the-loop');
  await client.close();
});

test('nothing is left behind when the daemon is killed with -9, not even what cannot notice or left its group', async () => {
  const { daemon, client } = await started(() => [
    { package: POOL, limits: { stuck: '60s' } },
    { package: path.join(ROOT, 'plugins/action') },
  ]);
  await client.send('LOOP', {});
  await client.send('FORK', {});
  await client.send('COMMAND', { command: ['sh', '-c', 'setsid sleep 600 & sleep 600'] });
  await until('all of them run', () => processesOf(daemon).length > 10);
  await client.close();
  await daemon.end('SIGKILL');
  await until('they are gone', () => processesOf(daemon).length === 0, 15_000);
});

test('a plugin that needs too long to start is named, and gets no requests', async () => {
  copy = path.join(ROOT, 'test/fixtures', `.copy-${process.pid}`);
  cpSync(POOL, copy, { recursive: true });
  writeFileSync(path.join(copy, 'dist/index.js'), 'await new Promise((resolve) => setTimeout(resolve, 60_000));\n');
  const { daemon, client } = await started(() => [
    { package: copy, startTimeout: '1s', restart: { max: 1, within: '60s' } },
    { package: PROBE },
  ]);
  const refused = () =>
    client.send('TASK', {}).then(
      () => '',
      ({ code }: { code: string }) => code,
    );
  await until('all of the pool are set aside', async () => (await refused()) === 'NOT_READY', 30_000);
  expect(daemon.stderr).toContain('it was not ready within 1 s');
  expect((await client.call('ECHO', { fine: true })).ok).toBe(true);
  await client.close();
});
