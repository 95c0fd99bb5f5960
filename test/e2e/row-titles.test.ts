import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess } from '../daemon-process.ts';

const daemon = new DaemonProcess();
beforeAll(() => daemon.start());
afterAll(() => daemon.dispose());

test('log and call --follow show the title of a row’s code, to people only', async () => {
  const followed = await daemon.cli('call', 'COMMAND', 'command=echo hello', '--follow', '--token', 'titled');
  expect(followed.stdout).toMatch(/ central {2}COMMAND {2}output \(100\)\n {2}stream {2}stdout\n {2}chunk {3}hello\n/);
  const { stdout, code } = await daemon.cli('log', 'titled');
  expect(stdout).toContain(' central  COMMAND  output (100)\n');
  expect(code).toBe(0);
  const json = await daemon.cli('log', 'titled', '--json');
  const rows = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(rows.length).toBeGreaterThan(2);
  for (const row of rows) {
    expect(Object.keys(row).sort()).toEqual(['code', 'ctime', 'data', 'etime', 'id', 'node', 'token', 'type']);
  }
});

test('a node, which may not ask for titles, still reads its log', async () => {
  const node = daemon.client('node-1', ['node']);
  daemon.writeConfig();
  process.kill(daemon.pid, 'SIGHUP');
  const remote = ['--connect', daemon.endpoint, '--key', node.file, '--identity', 'node-1'];
  const router = ['--router', daemon.fingerprint];
  // The new key is known once the daemon has read its config again.
  for (let attempt = 1; ; attempt++) {
    const put = await daemon.cli('call', 'PUTLOG', '{"token":"mine","code":50,"data":{}}', ...remote, ...router);
    if (put.code === 0 || attempt === 20) break;
  }
  const { stdout, stderr, code } = await daemon.cli('log', 'mine', ...remote, ...router);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(stdout).toContain('progress (50)');
});
