import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { DaemonProcess, ROOT } from '../daemon-process.ts';

const daemon = new DaemonProcess();
const alice = daemon.client('alice');
const bob = daemon.client('bob');
let home: string;
let flags: string[];

beforeAll(async () => {
  home = mkdtempSync(path.join(tmpdir(), 'contexts-'));
  await daemon.start();
  const { address, router } = daemon.door(alice);
  flags = ['--connect', address, '--key', alice.file, '--identity', 'alice', '--router', router as string];
});
beforeEach(() => rmSync(path.join(home, 'centreond'), { recursive: true, force: true }));
afterAll(async () => {
  await daemon.dispose();
  rmSync(home, { recursive: true, force: true });
});

/** Runs `centreond` where there is no config. */
async function run(...words: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = { ...process.env, XDG_CONFIG_HOME: home };
  const bin = path.join(ROOT, 'core/bin/centreond.js');
  const child = spawn(process.execPath, [bin, ...words], { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ]);
  return { code, stdout, stderr };
}
const whoAsked = async (...words: string[]) => {
  const { code, stdout, stderr } = await run('--json', ...words, 'requests', '--limit', '1');
  expect([code, stderr]).toEqual([0, '']);
  return (JSON.parse(stdout) as { owner: string }).owner;
};

test('a context stands for its flags, by name or once it is in use; the file is for this user alone', async () => {
  expect(await run('context', 'list')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/no contexts.*--router/),
  });
  expect(await run('context', 'add', 'prod', ...flags)).toMatchObject({ code: 0, stderr: '' });
  const file = path.join(home, 'centreond/contexts.json');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).not.toContain('PRIVATE KEY');
  expect(await run('--context', 'prod', 'call', 'COMMAND', 'command=date')).toMatchObject({ code: 0, stderr: '' });
  // It is kept, not in use.
  expect(await run('status')).toMatchObject({ code: 1, stderr: expect.stringContaining('There is no config file') });
  expect(await run('context', 'use', 'prod')).toMatchObject({ code: 0 });
  expect(await whoAsked()).toBe('alice');
  expect((await run('context', 'list')).stdout).toMatch(/^\* +prod +tcp:\/\/\S+ +alice +-$/m);
  expect(await run('context', 'use')).toMatchObject({ code: 0 });
  expect(await run('status')).toMatchObject({ code: 1 });
});

test('flags win over a context', async () => {
  await run('context', 'add', 'prod', ...flags);
  const asBob = ['--key', bob.file, '--identity', 'bob'];
  expect(await run('--context', 'prod', ...asBob, 'call', 'COMMAND', 'command=date')).toMatchObject({ code: 0 });
  expect(await whoAsked('--context', 'prod', ...asBob)).toBe('bob');
  await run('context', 'use', 'prod');
  // Another daemon is meant.
  expect(await run('--config', path.join(home, 'none.yaml'), 'status')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('none.yaml'),
  });
});

test('a context keeps several routers of a cluster, each with its key', async () => {
  const [connect, router] = ['--connect', '--router'].map((flag) => flags[flags.indexOf(flag) + 1] as string);
  const both = [...flags, '--connect', `tcp://127.0.0.1:9,${connect}`, '--router', `${'A'.repeat(43)},${router}`];
  expect(await run('context', 'add', 'both', ...both)).toMatchObject({ code: 0, stderr: '' });
  expect((await run('context', 'list')).stdout).toMatch(/ both +tcp:\/\/127\.0\.0\.1:9,tcp:\/\/\S+ +alice +-$/m);
  expect(await run('--context', 'both', 'call', 'COMMAND', 'command=date')).toMatchObject({ code: 0, stderr: '' });
  const refused = async (message: RegExp, ...words: string[]) =>
    expect(await run('context', 'add', 'x', ...both, ...words)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(message),
    });
  await refused(/--connect names 2 and --router 1: give a fingerprint for each/, '--router', router as string);
  await refused(/--router abc: write the 43 characters/, '--router', `${router},abc`);
  await refused(/--connect b:1: write tcp:\/\/host:port/, '--connect', `${connect},b:1`);
});

test('a context may name a config file', async () => {
  const file = path.join(daemon.folder, 'centreond.yaml');
  expect(await run('context', 'add', 'here', '--config', file)).toMatchObject({ code: 0 });
  const { code, stdout } = await run('--json', '--context', 'here', 'check');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ file });
  expect(await run('--context', 'here', 'status')).toMatchObject({ code: 0 });
});

test('what cannot be kept or is not there is told with what to write', async () => {
  const refused = async (code: number, message: RegExp, ...words: string[]) =>
    expect(await run(...words)).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) });
  await run('context', 'add', 'prod', ...flags);
  await refused(2, /no context prd; did you mean prod\? There is: prod\./, '--context', 'prd', 'status');
  await refused(2, /no context other\. There is: prod\./, 'context', 'use', 'other');
  await refused(2, /no context other/, 'context', 'remove', 'other');
  await refused(
    1,
    /context prod already.*context remove prod/,
    'context',
    'add',
    'prod',
    ...flags,
    '--identity',
    'bob',
  );
  await refused(2, /takes --connect, --key, --identity and --router/, 'context', 'add', 'x', '--identity', 'bob');
  await refused(2, /--key .*gone: there is no such file/, 'context', 'add', 'x', ...flags, '--key', 'gone');
  await refused(2, /--router abc: write the 43 characters/, 'context', 'add', 'x', ...flags, '--router', 'abc');
  await refused(2, /name has 1 to 64/, 'context', 'add', 'a/b', ...flags);
  expect(await run('context', 'add', 'prod', ...flags), 'the same again changes nothing').toMatchObject({ code: 0 });
  expect(await run('context', 'remove', 'prod')).toMatchObject({ code: 0 });
  await refused(2, /no context prod\. There is: none\./, '--context', 'prod', 'status');
  writeFileSync(path.join(home, 'centreond/contexts.json'), '{');
  await refused(1, /contexts\.json, cannot be read: .*Correct it, or move it away/, 'context', 'list');
});

test.skipIf(process.getuid?.() !== 0)(
  'of another user, whose HOME was left in the environment, are none (root only)',
  async () => {
    await run('context', 'add', 'prod', ...flags);
    const bin = path.join(ROOT, 'core/bin/centreond.js');
    const env = { ...process.env, XDG_CONFIG_HOME: home };
    const who = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    const child = spawn('setpriv', [...who, process.execPath, bin, 'context', 'list'], { cwd: '/', env });
    const [said, code] = await Promise.all([
      text(child.stderr),
      new Promise<number | null>((resolve) => child.once('close', resolve)),
    ]);
    expect([said, code]).toEqual(['', 0]);
  },
);
