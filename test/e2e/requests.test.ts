import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, until } from '../daemon-process.ts';

interface Listed {
  token: string;
  owner: string;
  action: string;
  code: number | null;
  error: string | null;
  data: unknown;
}

describe('the requests of a router', () => {
  const daemon = new DaemonProcess();
  let ada: Client;
  let bob: Client;
  beforeAll(async () => {
    const keys = ['ada', 'bob'].map((identity) => daemon.client(identity));
    await daemon.start();
    [ada, bob] = (await Promise.all(keys.map((key) => connect(daemon.door(key))))) as [Client, Client];
    await ada.call('COMMAND', { command: 'true' }, { token: 'ada-1' });
    await ada.call('COMMAND', { command: 'no-such-program' }, { token: 'ada-2' });
    await bob.call('COMMAND', { command: 'echo bob' }, { token: 'bob-1' });
    for (const i of [1, 2, 3]) await bob.send('COMMAND', { command: 'sleep 600' }, { token: `sleep-${i}` });
  });
  afterAll(async () => {
    await ada?.close();
    await bob?.close();
    await daemon.dispose();
  });

  const listed = async (client: Client, filter: object = {}): Promise<Listed[]> =>
    (await client.send('GETREQUESTS', filter)).data.requests as unknown as Listed[];
  const cli = async (...words: string[]) => {
    const { code, stdout, stderr } = await daemon.cli('--json', ...words);
    return { code, stderr, lines: stdout.trim() === '' ? [] : stdout.trim().split('\n') };
  };
  const tokensOf = (lines: readonly string[]) => lines.map((line) => (JSON.parse(line) as Listed).token);

  test('are listed with their DATA and how they ended; a client sees its own only, whatever it filters by', async () => {
    expect(await listed(ada)).toMatchObject([
      { token: 'ada-2', code: 1, error: 'COMMAND_NOT_STARTED', data: { command: 'no-such-program' } },
      { token: 'ada-1', code: 2, error: null, owner: 'ada', action: 'COMMAND' },
    ]);
    expect(await listed(ada, { owner: 'bob' })).toEqual([]);
    expect(await listed(bob, { token: 'ada-1' })).toEqual([]);
    expect((await listed(bob, { state: 'open' })).map(({ token }) => token)).toEqual(['sleep-3', 'sleep-2', 'sleep-1']);
  });

  test('are shown with their rows by their plugin, since a moment, each beginning with who asked for what', async () => {
    const { stdout, code } = await daemon.cli('log', '--plugin', 'action', '--since', '1h');
    expect(code).toBe(0);
    expect(stdout).toMatch(/ {2}ada asked for COMMAND, ada-2\n {2}command {2}no-such-program\n/);
    expect(stdout).toMatch(/ {2}central {2}COMMAND {2}ada-2 {2}failed \(1\)\n {2}error +COMMAND_NOT_STARTED\n/);
    expect(stdout).toMatch(
      / {2}central {2}COMMAND {2}bob-1 {2}output \(100\)\n {2}stream {2}stdout\n {2}chunk {3}bob\n/,
    );
    expect(stdout).toContain(' asked for COMMAND, sleep-3\n');
    const { lines } = await cli('log', '--plugin', 'action', '--since', '1h');
    const ends = lines
      .map((line) => JSON.parse(line) as { token: string; code: number })
      .filter(({ code }) => code < 3);
    expect(ends.filter(({ token }) => token === 'ada-2').map(({ code }) => code)).toEqual([0, 1]);
  });

  test.each([
    [['log'], /log needs a token.*or --plugin TYPE/],
    [['log', 'ada-1', '--plugin', 'action'], /not both/],
    [['log', 'ada-1', '--since', '1h'], /go with --plugin/],
    [['log', '--plugin', 'action'], /needs --follow, or --since/],
    [['log', '--plugin', 'action', '--follow', '--rate', '0'], /--rate 0/],
    [['log', '--plugin', 'action', '--since', '1h', '--exits'], /--exits goes with --follow/],
  ])('%j is wrong usage, and says what to write', async (words, message) => {
    const { code, stderr } = await daemon.cli(...words);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  test('are found by the command line: who, what, how it ended, since when', async () => {
    expect(tokensOf((await cli('requests', '--failed')).lines)).toEqual(['ada-2']);
    expect(tokensOf((await cli('requests', '--open', '--owner', 'bob')).lines)).toEqual([
      'sleep-3',
      'sleep-2',
      'sleep-1',
    ]);
    expect(tokensOf((await cli('requests', '--since', '1h', '--action', 'COMMAND', '--finished')).lines)).toEqual([
      'bob-1',
      'ada-1',
    ]);
    expect((await cli('requests', '--until', '1h')).lines).toEqual([]);
    expect((await cli('requests', '--node', 'central', '--limit', '2')).lines).toHaveLength(2);
    expect(await cli('requests', '--failed', '--open')).toMatchObject({ code: 2 });
    expect(await cli('requests', '--since', 'yesterday')).toMatchObject({ code: 2 });
  });

  test('log shows who asked for what, and with which DATA', async () => {
    const { stdout } = await daemon.cli('log', 'ada-2');
    expect(stdout).toMatch(/ada asked for COMMAND\n {2}command {2}no-such-program\n/);
  });

  test('cancel asks before it ends what filters found, and ends nothing if nobody can be asked', async () => {
    const refused = await daemon.cli('cancel', '--owner', 'bob');
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/would end 3 requests.*--yes/) });
    expect(await listed(bob, { state: 'open' })).toHaveLength(3);
    expect(await cli('cancel')).toMatchObject({ code: 2 });
    expect(await cli('cancel', 'sleep-1', '--owner', 'bob')).toMatchObject({ code: 2 });
    const one = await daemon.cli('cancel', 'sleep-1');
    expect(one).toMatchObject({ code: 0, stdout: 'sleep-1 is told to stop.\n' });
    const all = await daemon.cli('cancel', '--owner', 'bob', '--yes');
    expect(all.code).toBe(0);
    await until('bob has no open request', async () => (await listed(bob, { state: 'open' })).length === 0);
    expect((await listed(bob, { state: 'failed' })).map(({ error }) => error)).toEqual(Array(3).fill('CANCELLED'));
    expect((await daemon.cli('cancel', '--owner', 'bob', '--yes')).stdout).toMatch(/nothing to cancel/);
  });
});
