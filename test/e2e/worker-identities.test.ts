import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { connect } from '@centreond/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli, DaemonProcess, type Identity, newIdentity, ROOT } from '../daemon-process.ts';
import { tempPackage } from '../plugin-sdk/temp-package.ts';

const run = promisify(execFile);
const README = readFileSync(path.join(ROOT, 'plugin-sdk/sdk/README.md'), 'utf8');
const SECTION = README.slice(README.indexOf('### Several processes of one service'));
const block = (language: string): string =>
  new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms').exec(SECTION)?.[1] ?? expect.fail(`no ${language} block`);

/** The workers' package: the program of the README, and its keys. */
const folder = tempPackage({ 'worker.js': block('js') });
const daemon = new DaemonProcess({ plugins: [{ package: path.join(ROOT, 'plugins/action') }] });
let first: Identity;
let second: Identity;

beforeAll(async () => {
  first = newIdentity('web-1', daemon.folder);
  second = newIdentity('web-2', daemon.folder);
  mkdirSync(path.join(folder, 'keys'));
  for (const { identity, file } of [first, second]) cpSync(file, path.join(folder, 'keys', `${identity}.pem`));
  // The router reads the text of the README, and not what a test made of it.
  const file = daemon.writeConfig();
  const { core, plugins } = JSON.parse(readFileSync(file, 'utf8')) as { core: object; plugins: object[] };
  const clients = block('yaml')
    .replace('FINGERPRINT-OF-WEB-1', first.fingerprint)
    .replace('FINGERPRINT-OF-WEB-2', second.fingerprint);
  daemon.writeConfig = () => {
    writeFileSync(file, `core: ${JSON.stringify(core)}\nplugins: ${JSON.stringify(plugins)}\n${clients}`);
    return file;
  };
  daemon.writeConfig();
  expect(await cli(daemon.folder, 'check')).toMatchObject({ code: 0 });
  await daemon.start();
});
afterAll(() => daemon.dispose());

/** Runs the worker of a number to its end. */
async function work(worker: number): Promise<{ token: string; stdout: string }> {
  const env = {
    ...process.env,
    WORKER: String(worker),
    ROUTER: daemon.endpoint,
    FINGERPRINT: daemon.fingerprint,
  };
  const { stdout } = await run(process.execPath, ['worker.js'], { cwd: folder, env });
  return JSON.parse(stdout) as { token: string; stdout: string };
}

test('workers with a key each, under one grant, work at the same time, and each for itself', async () => {
  const [one, two] = await Promise.all([work(1), work(2)]);
  expect(one.stdout).toBe(two.stdout);
  const { stdout } = await daemon.cli('requests', '--json');
  expect(stdout).toContain('"owner":"web-1"');
  expect(stdout).toContain('"owner":"web-2"');
  await using other = await connect(daemon.door(second));
  expect(await other.query({ token: one.token })).toEqual([]);
  const repeat = other.call('COMMAND', { command: 'hostname' }, { token: one.token });
  await expect(repeat).rejects.toMatchObject({ code: 'FORBIDDEN', details: { action: 'COMMAND', token: one.token } });
  await expect(other.send('CANCEL', { token: one.token })).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

test('a process that takes over a worker’s identity ends its session, and goes on under its tokens', async () => {
  const { token } = await work(1);
  await using old = await connect(daemon.door(first));
  await using successor = await connect(daemon.door(first));
  const waiting = old.call('COMMAND', { command: 'hostname' });
  await expect(waiting).rejects.toMatchObject({ code: 'CLIENT_REPLACED', details: { identity: 'web-1' } });
  expect((await successor.query({ token })).at(-1)).toMatchObject({ code: 2 });
  const again = await successor.send('COMMAND', { command: 'hostname' }, { token });
  expect(again.data).toMatchObject({ duplicate: true });
});
