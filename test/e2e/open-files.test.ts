import { spawn } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { connect } from '@centreond/client';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

test('connections up to the limit of open files end no daemon: local calls and sessions go on, and clients get in', async () => {
  const daemon = new DaemonProcess();
  onTestFinished(() => daemon.dispose());
  const ada = daemon.client('ada');
  await daemon.start(['/bin/sh', '-c', 'ulimit -n 512; exec "$0" "$@"']);
  const client = await connect(daemon.door(ada));
  const { port } = new URL(daemon.endpoint.replace('tcp:', 'http:'));
  const strangers: net.Socket[] = [];
  onTestFinished(() => strangers.forEach((socket) => void socket.destroy()));
  for (let i = 0; i < 700; i++) {
    const socket = net.connect(Number(port), '127.0.0.1');
    socket.on('error', () => {});
    strangers.push(socket);
  }
  await until('connections are closed', () => daemon.stderr.includes('a newer connection took its place'));
  for (let i = 0; i < 5; i++) expect((await daemon.cli('call', 'COMMAND', 'command=echo x')).code).toBe(0);
  expect((await client.call('COMMAND', { command: 'true' })).ok).toBe(true);
  // The strangers are all still there, and a client takes the place of one of them.
  const bob = await connect(daemon.door(ada));
  expect((await bob.call('COMMAND', { command: 'true' })).ok).toBe(true);
  await Promise.all([client.close(), bob.close()]);
});

/** A daemon that an operator starts, by the installed command, in a shell with these limits. */
async function startedUnder(limits: string): Promise<{ daemon: DaemonProcess; stderr: () => string }> {
  const daemon = new DaemonProcess({});
  const args = ['start', '--json', '--config', daemon.writeConfig()];
  const child = spawn('/bin/sh', ['-c', `${limits}; exec "$0" "$@"`, path.join(ROOT, 'core/bin/centreond'), ...args], {
    cwd: daemon.folder,
    env: { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env.PATH}` },
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await exited;
    await daemon.dispose();
  });
  await Promise.race([
    new Promise((resolve) => child.stdout.once('data', resolve)),
    exited.then(() => Promise.reject(new Error(stderr))),
  ]);
  return { daemon, stderr: () => stderr };
}

test('a command inherits the soft limit of open files that the daemon was started with, though Node raised its own', async () => {
  const { daemon, stderr } = await startedUnder('ulimit -Sn 512');
  const run = async (command: string) => {
    const { stdout } = await daemon.cli('call', 'COMMAND', JSON.stringify({ command }), '--json');
    return JSON.parse(stdout) as { data: { stdout: string; message: string } };
  };
  const hard = (await run('sh -c "ulimit -Hn"')).data.stdout;
  expect((await run('sh -c "ulimit -Sn"')).data.stdout).toBe('512\n');
  expect(hard).not.toBe('512\n');
  expect((await run('sh -c "echo $0"')).data.stdout).toBe('sh\n');
  // What cannot start says why, as without the limit.
  expect((await run('no-such-program')).data.message).toContain('no folder of PATH has a program of this name');
  expect(stderr()).not.toContain('OPEN_FILES_LOW');
});

test('a daemon that may open few files says so, with the figure and what to do', async () => {
  const { stderr } = await startedUnder('ulimit -n 300');
  await until('the warning', () => stderr().includes('OPEN_FILES_LOW'));
  expect(stderr()).toContain('may open 300 files');
});
