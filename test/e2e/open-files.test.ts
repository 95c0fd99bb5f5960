import net from 'node:net';
import { connect } from '@centreond/plugin-sdk/client';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, until } from '../daemon-process.ts';

test('connections up to the limit of open files end no daemon: local calls go on, and clients come back', async () => {
  const daemon = new DaemonProcess();
  onTestFinished(() => daemon.dispose());
  const ada = daemon.client('ada');
  await daemon.start(['/bin/sh', '-c', 'ulimit -n 512; exec "$0" "$@"']);
  const { port } = new URL(daemon.endpoint.replace('tcp:', 'http:'));
  const strangers: net.Socket[] = [];
  onTestFinished(() => strangers.forEach((socket) => void socket.destroy()));
  for (let i = 0; i < 700; i++) {
    const socket = net.connect(Number(port), '127.0.0.1');
    socket.on('error', () => {});
    strangers.push(socket);
  }
  await until('the listener is closed', () => daemon.stderr.includes('is closed for a moment'));
  for (let i = 0; i < 5; i++) expect((await daemon.cli('call', 'COMMAND', 'command=echo x')).code).toBe(0);
  for (const socket of strangers) socket.destroy();
  await until('the listener is open again', () => daemon.stderr.includes('takes connections again'));
  const client = await connect(daemon.door(ada));
  expect((await client.call('COMMAND', { command: 'true' })).ok).toBe(true);
  await client.close();
});
