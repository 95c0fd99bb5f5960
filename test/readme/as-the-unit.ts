import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { until } from '../daemon-process.ts';
import type { Machine } from './machine.ts';
import { setting, systemCalls } from './unit.ts';

/** The mounts that ProtectSystem=strict, PrivateTmp, ProtectHome and StateDirectory make, in $1; then the words that follow. */
const MOUNTS = `
set -e
root=$1; shift
mount --rbind "$root" "$root"
mount --bind "$root/var/lib/centreond" "$root/var/lib/centreond"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t tmpfs -o mode=1777 tmp "$root/var/tmp"
mount -t tmpfs -o mode=0,ro home "$root/home"
mount -t tmpfs -o mode=0,ro home "$root/root"
exec "$@"
`;

/** A daemon that runs under the settings of the unit, which systemd would apply. */
export interface UnderTheUnit {
  /** Sends SIGTERM and resolves once it has ended well. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** Starts what the unit starts, in the machine, and resolves when it is ready. */
export async function startAsTheUnit(machine: Machine): Promise<UnderTheUnit> {
  for (const [key, value] of Object.entries(EXPECTED)) {
    if (setting(key) !== value) throw new Error(`the unit has ${key}=${setting(key)}: as-the-unit.ts knows ${value}`);
  }
  const [program = '', ...args] = setting('ExecStart').split(' ');
  const user = setting('User');
  const confined = {
    root: machine.root,
    folder: setting('WorkingDirectory'),
    uid: Number(await machine.does(`id -u ${user}`)),
    gid: Number(await machine.does(`id -g ${user}`)),
    umask: setting('UMask'),
    families: setting('RestrictAddressFamilies').split(' '),
    calls: [...systemCalls()],
    command: [program, ...args],
    env: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      HOME: '/var/lib/centreond',
      USER: user,
      LOGNAME: user,
      LANG: 'C.UTF-8',
    },
  };
  const script = path.join(import.meta.dirname, 'as-the-unit.py');
  const mounted = ['unshare', '--mount', 'sh', '-c', MOUNTS, 'mounts', machine.root];
  const [enter = '', ...words] = machine.beside(...mounted, '/usr/bin/python3', script, JSON.stringify(confined));
  const child: ChildProcess = spawn(enter, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (printed += text));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let code: number | null | undefined;
  void ended.then((value) => (code = value));
  await until('it is ready, or over', () => printed.includes('is ready') || code !== undefined, 60_000);
  if (code !== undefined) throw new Error(`the daemon ended with ${code}: ${printed}`);
  return {
    stop: async () => {
      await machine.does('kill -TERM "$(cat /var/lib/centreond/run/daemon.pid)"');
      const code = await ended;
      if (code !== 0) throw new Error(`the daemon ended with ${code}: ${printed.slice(-4000)}`);
    },
    close: async () => {
      // Once it has stopped there is no such file.
      await machine.run('kill -KILL "$(cat /var/lib/centreond/run/daemon.pid)"');
      await ended;
    },
  };
}

/** What is done here by hand, and not read from the unit. */
const EXPECTED = {
  CapabilityBoundingSet: '',
  NoNewPrivileges: 'yes',
  PrivateTmp: 'yes',
  ProtectHome: 'yes',
  ProtectSystem: 'strict',
  RestrictNamespaces: 'yes',
  StateDirectory: 'centreond',
  SystemCallErrorNumber: 'EPERM',
};
