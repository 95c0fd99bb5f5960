import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT } from '../daemon-process.ts';

const daemon = new DaemonProcess({
  plugins: [
    { package: path.join(ROOT, 'plugins/action'), env: { ADDED: 'by the config', TZ: 'Asia/Tokyo' } },
    { package: path.join(ROOT, 'test/fixtures/probe') },
    {
      package: path.join(ROOT, 'plugins/ssh'),
      config: {
        nodes: [
          {
            id: 'web',
            type: 'ssh',
            address: '127.0.0.1:1',
            user: 'monitor',
            password: 'env:SOME_SECRET',
            hostKey: `SHA256:${'A'.repeat(43)}`,
          },
        ],
      },
    },
  ],
});
let client: Client;

beforeAll(async () => {
  await daemon.start([
    'env',
    'SOME_SECRET=hunter2',
    'OTHER_SECRET=hunter3',
    'LC_TIME=C',
    'TZ=Europe/Paris',
    'NODE_EXTRA_CA_CERTS=',
  ]);
  client = await connect({ address: daemon.socket });
});
afterAll(async () => {
  await client?.close();
  await daemon.dispose();
});

async function environmentOf(type: string): Promise<Record<string, string>> {
  const { data } = await client.send('INFORMATION', {});
  const plugins = data.plugins as unknown as { type: string; instances: { pid: number }[] }[];
  const pid = plugins.find((plugin) => plugin.type === type)?.instances[0]?.pid;
  return variablesOf(readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0'));
}

function variablesOf(lines: readonly string[]): Record<string, string> {
  const pairs = lines.filter((line) => line !== '').map((line) => line.split(/=(.*)/s, 2) as [string, string]);
  return Object.fromEntries(pairs);
}

const NAMES = /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|CENTREOND_\w+)$/;

test("a variable of the daemon's environment reaches a plugin only if it is one of a few", async () => {
  const variables = await environmentOf('probe');
  expect(Object.keys(variables).filter((name) => !NAMES.test(name))).toEqual([]);
  expect(variables).toMatchObject({ LC_TIME: 'C', TZ: 'Europe/Paris', PATH: process.env.PATH });
});

test("a plugin gets what its entry's env adds, over the daemon's", async () => {
  const variables = await environmentOf('action');
  expect(Object.keys(variables).filter((name) => !NAMES.test(name))).toEqual(['ADDED']);
  expect(variables).toMatchObject({ ADDED: 'by the config', TZ: 'Asia/Tokyo' });
});

test('a plugin gets the variables that its config names as secrets, and no other secret', async () => {
  const variables = await environmentOf('ssh');
  expect(Object.keys(variables).filter((name) => !NAMES.test(name))).toEqual(['SOME_SECRET']);
  expect(variables).toMatchObject({ SOME_SECRET: 'hunter2' });
});

test("a command gets its plugin's environment, without what concerns the daemon, and what the request adds", async () => {
  const { data } = await client.call('COMMAND', { command: 'env', env: { ASKED: 'by the request' } });
  const variables = variablesOf((data as { stdout: string }).stdout.split('\n'));
  const names = Object.keys(variables).filter((name) => !NAMES.test(name) || name.startsWith('CENTREOND_'));
  expect(names.sort()).toEqual(['ADDED', 'ASKED', 'CENTREOND_INSTANCE']);
  expect(variables).toMatchObject({ ADDED: 'by the config', TZ: 'Asia/Tokyo', ASKED: 'by the request' });
});
