import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { check } from '../../../core/dist/cli/check.js';
import type { Problem } from '../../../core/dist/errors.js';
import { ROOT } from '../../daemon-process.ts';

const HOST_KEY = `SHA256:${'A'.repeat(43)}`;
let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'centreond-check-')));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** Checks a config and tells its problems, a line each, and the exit code. */
async function told(config: string): Promise<{ lines: string[]; code: number }> {
  writeFileSync(path.join(folder, 'centreond.yaml'), config.replaceAll('PLUGINS', path.join(ROOT, 'plugins')));
  const stdout = new PassThrough();
  const code = await check({ cwd: folder, systemFolder: folder, json: true, stdout, stderr: new PassThrough() });
  stdout.end();
  const { problems } = JSON.parse(await text(stdout)) as { problems: Problem[] };
  const lines = problems.map((p) => `${p.line}:${p.column} ${p.severity} ${p.message.replaceAll(folder, '')}`);
  return { lines, code };
}

test('schedules, time zones and ids of cron', async () => {
  const config = `plugins:
  - package: PLUGINS/cron
    config:
      timeZone: Mars/Olympus
      definitions:
        - { id: a, schedule: "0 25 * * *", action: COMMAND }
        - { id: b, schedule: "0 0 30 2 *", action: COMMAND }
        - { id: b, schedule: "* * * *", action: COMMAND, timeZone: CET-1CEST }
        - { id: c, schedule: "0 4 1-7 * */7", action: COMMAND, timeZone: Europe/Paris }
`;
  expect(await told(config)).toEqual({
    code: 1,
    lines: [
      '4:17 error plugins[0].config.timeZone must be the name of a time zone such as Europe/Paris.',
      '6:30 error plugins[0].config.definitions[0].schedule is not a schedule: Invalid value for hour: 25.',
      '7:30 error plugins[0].config.definitions[1].schedule never comes due.',
      '8:17 error plugins[0].config.definitions[2].id is the same as plugins[0].config.definitions[1].id; give each its own.',
      '8:30 error plugins[0].config.definitions[2].schedule must have five or six fields (with seconds), or be a name such as @daily.',
      '8:68 error plugins[0].config.definitions[2].timeZone must be the name of a time zone such as Europe/Paris.',
    ],
  });
});

test('the secrets that the settings of the core name', async () => {
  const config = `core:
  id: central
  dataDir: ./var
  store: { driver: postgres, url: "file:./postgres-url" }
  cluster: { name: prod, nats: "nats://db:4222", credentials: "env:NATS_LOGIN_OF_THE_TEST" }
plugins: []
`;
  const unset =
    "5:63 warning core.cluster.credentials refers to the secret env:NATS_LOGIN_OF_THE_TEST, which is not set in the daemon's environment; set it there (EnvironmentFile= in a systemd unit).";
  const missing =
    "4:35 error core.store.url refers to the secret file:/postgres-url, which does not exist; write it, with the daemon's user as its owner and mode 0600.";
  expect(await told(config)).toEqual({ code: 1, lines: [missing, unset] });
  writeFileSync(path.join(folder, 'postgres-url'), 'postgresql://central@db/central', { mode: 0o600 });
  expect(await told(config)).toEqual({ code: 0, lines: [unset] });
  vi.stubEnv('NATS_LOGIN_OF_THE_TEST', 'central:word');
  expect(await told(config)).toEqual({ code: 0, lines: [] });
});

test('a TZ that names no time zone, where a definition relies on it', async () => {
  const config = (env: string, zone: string) => `plugins:
  - package: PLUGINS/cron
    env: ${env}
    config:
      definitions:
        - { id: a, schedule: "@daily", action: COMMAND }
        - { id: b, schedule: "@daily", action: COMMAND }
${zone}`;
  vi.stubEnv('TZ', 'CET-1CEST');
  const omitted = 'plugins[0].config.definitions[0].timeZone is omitted (as in 1 more of its kind), and TZ is';
  // The daemon's environment may be another.
  const own = await told(config('{}', ''));
  expect(own.code).toBe(0);
  expect(own.lines).toEqual([
    expect.stringContaining(`6:11 warning ${omitted} CET-1CEST, a rule of POSIX and not the name of a time zone;`),
  ]);
  const ofEntry = await told(config('{ TZ: "" }', ''));
  expect(ofEntry.code).toBe(1);
  expect(ofEntry.lines).toEqual([expect.stringContaining(`6:11 error ${omitted} empty, which names no time zone;`)]);
  expect(await told(config('{ TZ: Asia/Tokyo }', ''))).toEqual({ code: 0, lines: [] });
  expect(await told(config('{}', '      timeZone: Europe/Paris\n'))).toEqual({ code: 0, lines: [] });
});

test('keys of SSH nodes that are missing or no private keys, and ids of nodes', async () => {
  for (const [name, options] of [
    ['key', ['-t', 'ed25519', '-N', '']],
    ['secret', ['-t', 'ed25519', '-N', 'secret']],
    ['pem', ['-t', 'rsa', '-m', 'PEM', '-N', '']],
  ] as const)
    execFileSync('ssh-keygen', ['-q', ...options, '-f', path.join(folder, name)]);
  writeFileSync(path.join(folder, 'damaged'), '-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n');
  writeFileSync(path.join(folder, 'text'), 'not a key\n');
  mkdirSync(path.join(folder, 'folder'));
  const files = ['key', 'secret', 'pem', 'gone', 'key.pub', 'damaged', 'text', 'folder'];
  const nodes = files.map(
    (name, i) => `        - { id: n${i}, key: ./${name}, address: host, user: root, hostKey: "${HOST_KEY}" }\n`,
  );
  const config = `plugins:\n  - package: PLUGINS/ssh\n    config:\n      nodes:\n${nodes.join('')}`;
  expect(await told(config)).toEqual({
    code: 1,
    lines: [
      '8:26 error plugins[0].config.nodes[3].key names /gone, which does not exist; put it there, or name another.',
      '9:26 error plugins[0].config.nodes[4].key names /key.pub, which holds a public key; name the private one.',
      '10:26 error plugins[0].config.nodes[5].key names /damaged, which holds a private key that is damaged; make or copy it again.',
      '11:26 error plugins[0].config.nodes[6].key names /text, which holds no private key.',
      '12:26 error plugins[0].config.nodes[7].key names /folder, which is not a file.',
    ],
  });
  const twice = `plugins:
  - package: PLUGINS/ssh
    config:
      nodes:
        - { id: a, key: ./key, address: host, user: root, hostKey: "${HOST_KEY}" }
        - { id: a, key: ./key, address: other, user: root, hostKey: "${HOST_KEY}" }
`;
  expect((await told(twice)).lines).toEqual([
    '6:17 error plugins[0].config.nodes[1].id is the same as plugins[0].config.nodes[0].id; give each its own.',
  ]);
});

test('a database of the plugin acl that is not there', async () => {
  const config = 'plugins:\n  - package: PLUGINS/acl\n    config: { database: ./acl.sdb }\n';
  expect(await told(config)).toEqual({
    code: 1,
    lines: [
      '3:25 error plugins[0].config.database names /acl.sdb, which does not exist; put it there, or name another.',
    ],
  });
  writeFileSync(path.join(folder, 'acl.sdb'), '');
  expect(await told(config)).toEqual({ code: 0, lines: [] });
});

test('an address that the external door cannot listen on, but not where the daemon of this config does', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const listen = (address: string) => `core:\n  external: { listen: "tcp://${address}:${port}" }\n`;
    const inUse = await told(listen('127.0.0.1'));
    expect(inUse).toEqual({
      code: 1,
      lines: [expect.stringMatching(/^2:23 error The external door cannot listen on .*another process has that port/)],
    });
    expect((await told(listen('192.0.2.1'))).lines).toEqual([
      expect.stringMatching(
        /^2:23 error The external door cannot listen on tcp:\/\/192\.0\.2\.1:\d+: no network interface/,
      ),
    ]);
    expect((await told(listen('wlan77'))).lines).toEqual([expect.stringMatching(/no network interface/)]);
    // This process has the port; the folder says that it is the daemon.
    mkdirSync(path.join(folder, 'var/run'), { recursive: true });
    writeFileSync(path.join(folder, 'var/run/daemon.pid'), `${process.pid}\n`);
    expect(await told(listen('127.0.0.1'))).toEqual({ code: 0, lines: [] });
    // Another daemon is none of this config's.
    writeFileSync(path.join(folder, 'var/run/daemon.pid'), '1\n');
    expect((await told(listen('127.0.0.1'))).code).toBe(1);
  } finally {
    server.close();
  }
});
