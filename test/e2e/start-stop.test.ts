import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { DataFolder } from '../../core/dist/data-folder/data-folder.js';
import { DaemonProcess, processesWith, ROOT, until } from '../daemon-process.ts';

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

function folder(): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'centreond-start-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

describe('a daemon that cannot start', () => {
  const daemons: DaemonProcess[] = [];
  const made = (...settings: ConstructorParameters<typeof DaemonProcess>) => {
    const daemon = new DaemonProcess(...settings);
    daemons.push(daemon);
    return daemon;
  };
  afterEach(async () => {
    for (const daemon of daemons.splice(0)) await daemon.dispose();
  });

  test.each<[string, string, (daemon: DaemonProcess) => Promise<unknown> | unknown]>([
    [
      'its port is taken',
      'DOOR_IN_USE',
      async (daemon) => {
        const other = net.createServer().listen(0, '127.0.0.1');
        await new Promise((resolve) => other.once('listening', resolve));
        onTestFinished(() => void other.close());
        const { port } = other.address() as net.AddressInfo;
        daemon.settings.core = { external: { listen: `tcp://127.0.0.1:${port}` } };
      },
    ],
    [
      'its address is not one of this machine',
      'DOOR_NOT_THIS_MACHINE',
      (daemon) => {
        daemon.settings.core = { external: { listen: 'tcp://192.0.2.1:5555' } };
      },
    ],
    ['its trust file is broken', 'TRUST_FILE', (daemon) => keyFile(daemon, 'trust.json', '{"version":')],
    ['its key cannot be read', 'KEY_FILE', (daemon) => keyFile(daemon, 'router.pem', 'no key')],
    [
      'its folder is taken',
      'DATA_DIR_TAKEN',
      async (daemon) => {
        const other = await DataFolder.take(path.join(daemon.folder, 'var'));
        onTestFinished(() => other.release());
      },
    ],
    [
      'its folder cannot be made',
      'DATA_DIR_UNUSABLE',
      (daemon) => {
        daemon.settings.core = { dataDir: '/proc/centreond/var' };
      },
    ],
  ])('because %s exits 1 at once, names the cause and leaves nothing behind', async (_, code, prepare) => {
    const daemon = made();
    await prepare(daemon);
    const started = performance.now();
    await expect(daemon.start()).rejects.toThrow(new RegExp(`ended with 1: [^]*${code}`));
    // The process itself takes most of it; a start that hangs takes ten seconds.
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(processesWith(daemon.folder)).toEqual([]);
    expect(existsSync(path.join(daemon.folder, 'var/run/router.ipc'))).toBe(false);
  });

  function keyFile(daemon: DaemonProcess, name: string, text: string): void {
    mkdirSync(path.join(daemon.folder, 'var/keys'), { recursive: true, mode: 0o700 });
    writeFileSync(path.join(daemon.folder, 'var/keys', name), text, { mode: 0o600 });
  }
});

describe('the data folder', () => {
  test('is held by one of two daemons that start at the same moment, two hundred times', async () => {
    const dir = folder();
    for (let i = 0; i < 200; i++) {
      const both = await Promise.allSettled([DataFolder.take(dir), DataFolder.take(dir)]);
      const held = both.filter((one) => one.status === 'fulfilled');
      expect(held).toHaveLength(1);
      await held[0]?.value.release();
    }
  });

  test('is free again however its daemon ended', async () => {
    const daemon = new DaemonProcess();
    onTestFinished(() => daemon.dispose());
    await daemon.start();
    const second = new DaemonProcess();
    onTestFinished(() => second.dispose());
    second.settings.core = { dataDir: path.join(daemon.folder, 'var') };
    await expect(second.start()).rejects.toThrow(new RegExp(`DATA_DIR_TAKEN The daemon with pid ${daemon.pid}`));
    await daemon.end('SIGKILL');
    await daemon.start();
    expect(readdirSync(path.join(daemon.folder, 'var/run'))).toContain('daemon.pid');
  });
});

test('SIGHUP before the start is over does not end the daemon', async () => {
  const daemon = new DaemonProcess();
  onTestFinished(() => daemon.dispose());
  const starting = daemon.start();
  const [pid] = await found(() => processesWith(path.join(daemon.folder, 'centreond.yaml')));
  await until('it is past its first lines', () => existsSync(path.join(daemon.folder, 'var/run')));
  process.kill(pid as number, 'SIGHUP');
  await starting;
  await until('the reload has come', () => daemon.stderr.includes('read the configuration again'));
});

test('a reader that goes away ends the command line quietly', async () => {
  const daemon = new DaemonProcess();
  onTestFinished(() => daemon.dispose());
  await daemon.start();
  const bin = path.join(ROOT, 'core/bin/centreond.js');
  const shell = spawn('/bin/sh', ['-c', `"${process.execPath}" "${bin}" plugins --json | head -c 1`], {
    cwd: daemon.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  shell.stderr.on('data', (text) => (stderr += text));
  await new Promise((resolve) => shell.once('close', resolve));
  expect(stderr).toBe('');
});

const python = ['/usr/bin/python3', '/usr/local/bin/python3'].find((file) => existsSync(file));

/** Prints each message on a notify socket with the pid and uid of its sender, as systemd sees them. */
const LISTENER = `
import json, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(sys.argv[1])
print(json.dumps({"text": "bound"}), flush=True)
while True:
    data, ancillary, _, _ = s.recvmsg(4096, 64)
    pid, uid, gid = struct.unpack("3i", ancillary[0][2])
    print(json.dumps({"pid": pid, "uid": uid, "text": data.decode()}), flush=True)
`;

describe.skipIf(!python || !isRoot)('systemd', () => {
  test('is told by the daemon itself, as its own user: ready, reloading, alive, stopping', async () => {
    const daemon = new DaemonProcess();
    onTestFinished(() => daemon.dispose());
    daemon.writeConfig();
    const heard: { pid: number; uid: number; text: string }[] = [];
    const socket = path.join(daemon.folder, 'notify');
    const listener: ChildProcess = spawn(python as string, ['-c', LISTENER, socket], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void listener.kill());
    let text = '';
    listener.stdout?.on('data', (chunk) => {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      heard.push(...lines.map((line) => JSON.parse(line)));
    });
    await until('the socket is bound', () => heard.length > 0);
    for (const file of [daemon.folder, socket, path.join(daemon.folder, 'centreond.yaml')])
      chownSync(file, NOBODY, NOBODY);
    const said = (what: string) => heard.filter((one) => one.text.split('\n').includes(what));
    await daemon.start([
      '/usr/bin/env',
      `NOTIFY_SOCKET=${socket}`,
      'WATCHDOG_USEC=200000',
      'setpriv',
      `--reuid=${NOBODY}`,
      `--regid=${NOBODY}`,
      '--clear-groups',
    ]);
    await until('READY', () => said('READY=1').length === 1);
    await until('WATCHDOG', () => said('WATCHDOG=1').length > 2);
    process.kill(daemon.pid, 'SIGHUP');
    await until('RELOADING and READY again', () => said('RELOADING=1').length === 1 && said('READY=1').length === 2);
    expect(said('RELOADING=1')[0]?.text).toMatch(/MONOTONIC_USEC=\d+/);
    const { pid } = daemon;
    expect(await daemon.end()).toBe(0);
    expect(said('STOPPING=1')).toHaveLength(1);
    expect(new Set(heard.slice(1).map((one) => `${one.pid} ${one.uid}`))).toEqual(new Set([`${pid} ${NOBODY}`]));
  });
});

async function found<T>(look: () => T[]): Promise<T[]> {
  let all: T[] = [];
  await until('it is found', () => {
    all = look();
    return all.length > 0;
  });
  return all;
}
