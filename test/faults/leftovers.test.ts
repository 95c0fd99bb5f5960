import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DaemonProcess, isAlive, ROOT, until } from '../daemon-process.ts';

let daemon: DaemonProcess;
let client: Client;
/** What is to be ended after a test. */
const pids: number[] = [];
let files = 0;

beforeEach(async () => {
  daemon = new DaemonProcess({ plugins: [{ package: path.join(ROOT, 'plugins/action') }] });
  await start();
});
afterEach(async () => {
  await client.close();
  for (const pid of pids.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  await daemon.dispose();
});

async function start(): Promise<void> {
  await client?.close();
  await daemon.start();
  client = await connect({ address: daemon.socket });
}

/** Runs a command that starts a process in a session of its own, and ends or goes on. Resolves with that process. */
async function detached(by: 'a command that ends' | 'a command that runs'): Promise<number> {
  const file = path.join(daemon.folder, `pid-${files++}`);
  const inner = `echo $$ > ${file}.new; mv ${file}.new ${file}; exec sleep 600`;
  const ready = `while [ ! -e ${file} ]; do sleep 0.01; done`;
  const rest = by === 'a command that runs' ? 'sleep 600' : 'true';
  const script = `setsid sh -c '${inner}' < /dev/null > /dev/null 2>&1 & ${ready}; ${rest}`;
  if (by === 'a command that runs') await client.send('COMMAND', { command: ['sh', '-c', script] });
  else expect(await client.call('COMMAND', { command: ['sh', '-c', script] })).toMatchObject({ ok: true });
  await until('it is up', () => existsSync(file));
  const pid = Number(readFileSync(file, 'utf8'));
  pids.push(pid);
  expect(isAlive(pid)).toBe(true);
  return pid;
}

async function plugin(): Promise<number> {
  const { data } = await client.send('INFORMATION', {});
  const plugins = data.plugins as unknown as { type: string; instances: { pid: number; state: string }[] }[];
  const [instance] = plugins.find(({ type }) => type === 'action')?.instances ?? [];
  return instance?.state === 'ready' ? instance.pid : 0;
}

async function isAnother(pid: number): Promise<boolean> {
  return ![0, pid].includes(await plugin());
}

const notes = (): string[] => readdirSync(path.join(daemon.folder, 'var/run/commands'));

test('what a command that ended left behind survives reload, KILL, SIGHUP, a crash, stop and start', async () => {
  const left = await detached('a command that ends');
  expect(notes()).toEqual([]);
  await client.call('RELOADPLUGIN', { type: 'action' });
  await client.call('KILL', { type: 'action' });
  await until('it is back', async () => (await plugin()) !== 0);
  const before = await plugin();
  daemon.settings.plugins = [{ package: path.join(ROOT, 'plugins/action'), env: { CHANGED: '1' } }];
  daemon.writeConfig();
  process.kill(daemon.pid, 'SIGHUP');
  await until('it is reloaded', () => isAnother(before), 15_000);
  const crashed = await plugin();
  process.kill(crashed, 'SIGKILL');
  await until('it is started again', () => isAnother(crashed), 15_000);
  await daemon.end();
  await start();
  expect(isAlive(left)).toBe(true);
  expect(daemon.stderr).not.toContain('are ended');
  expect(daemon.stderr).not.toContain('is ended with it');
});

test.each([
  ['KILL', async () => void (await client.call('KILL', { type: 'action' }))],
  ['a crash of the plugin', async () => process.kill(await plugin(), 'SIGKILL')],
  ['a stop', async () => void (await daemon.end())],
])('what a running command detached is ended by %s, and named', async (_, end) => {
  const left = await detached('a command that ends');
  const running = await detached('a command that runs');
  await end();
  await until('it is ended', () => !isAlive(running), 15_000);
  await until('it is said', () => daemon.stderr.includes(`(pid ${running})`));
  await until('nothing is noted', () => notes().length === 0);
  expect(isAlive(left)).toBe(true);
});

test('after kill -9 of the daemon alone, what a running command detached is ended without a start', async () => {
  const left = await detached('a command that ends');
  const running = await detached('a command that runs');
  await daemon.end('SIGKILL');
  await until('it is ended', () => !isAlive(running), 20_000);
  expect(isAlive(left)).toBe(true);
});

test('after kill -9 of everything, the next start ends what was running, names it and spares the rest', async () => {
  const left = await detached('a command that ends');
  const running = await detached('a command that runs');
  const warden = wardenOf(daemon.pid);
  const killed = [warden, await plugin()];
  for (const pid of killed) process.kill(pid, 'SIGSTOP');
  await daemon.end('SIGKILL');
  for (const pid of killed) process.kill(pid, 'SIGKILL');
  expect(isAlive(running)).toBe(true);
  await start();
  await until('it is ended', () => !isAlive(running));
  expect(daemon.stderr).toContain(`(pid ${running})`);
  expect(isAlive(left)).toBe(true);
  await until('nothing is noted', () => notes().length === 0);
});

test('a command that is cancelled, times out or cannot start leaves no note', async () => {
  await client.send('COMMAND', { command: 'sleep 600' }, { token: 'cancelled' });
  await until('it is noted', () => notes().length === 1);
  await client.call('CANCEL', { token: 'cancelled' });
  await client.call('COMMAND', { command: 'sleep 600', timeoutSeconds: 0.1 });
  await client.call('COMMAND', { command: '/no/such/program' });
  await until('nothing is noted', () => notes().length === 0);
});

function wardenOf(parent: number): number {
  const shells = readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const [, ppid] = /^\d+ \(sh\) \S (\d+)/.exec(readFileSync(`/proc/${entry}/stat`, 'latin1')) ?? [];
      return Number(ppid) === parent;
    } catch {
      return false;
    }
  });
  expect(shells).toHaveLength(1);
  return Number(shells[0]);
}
