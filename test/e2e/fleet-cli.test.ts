import { spawn } from 'node:child_process';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, processesWith, ROOT, until } from '../daemon-process.ts';

const BIN = path.join(ROOT, 'core/bin/centreond.js');
const fixture = (name: string) => path.join(ROOT, 'test/fixtures', name);
const central = new DaemonProcess({});
central.settings.plugins = [
  { package: fixture('probe') },
  { package: fixture('ferry'), config: { ledger: path.join(central.folder, 'ledger') } },
];
const pollers = ['lyon', 'oslo'].map((id) => new DaemonProcess({ core: { id, external: undefined } }));
const paris = central.client('paris', ['node']);
const MANY = 2000;
/** Each verb is a process of its own, and a busy machine takes its time to start one. */
const PATIENCE_MS = 60_000;
let local: Client;

const carry = (nodes: object[], name = 'ferry') => local.call('FERRY', { name, nodes });
const states = async () =>
  ((await local.send('CONSTATUS')).data.nodes as unknown as { id: string; state: string }[]).map(
    ({ id, state }) => `${id} ${state}`,
  );
const objects = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const byTarget = (text: string) => new Map(objects(text).map((each) => [each.target, each]));

beforeAll(async () => {
  await Promise.all(
    pollers.map(async (poller) => {
      poller.writeConfig();
      const { fingerprint } = JSON.parse((await poller.cli('keys', 'show', '--json')).stdout);
      const { id } = poller.settings.core as { id: string };
      central.clients.push({ identity: id, fingerprint, roles: ['node'] });
    }),
  );
  await central.start();
  local = await connect({ address: central.socket });
  // Before any node is there: those that were let in are listed, and a request to all of them says that they are away.
  expect((await central.cli('nodes')).stdout).toMatch(
    /^router central, 3 nodes: 3 unreachable\n.*\nwarning {2}lyon is unreachable: it has not linked since this router started\.\n/s,
  );
  // A node whose handshake is refused is told apart from one that never came.
  const ahead = { now: () => Date.now() + 3_600_000 };
  await expect(connect({ ...central.door(paris), clock: ahead, timeoutMs: 2000 })).rejects.toThrow('refused');
  const refused = 'its last handshake was refused: its clock and this one differ too much';
  expect((await central.cli('nodes')).stdout).toContain(`paris is unreachable: ${refused}.\n`);
  expect((await central.cli('call', 'STEPS', '{}', '--target', 'paris')).stderr).toContain(refused);
  expect((await central.cli('call', 'STEPS', '{}', '--target', 'all')).code).not.toBe(0);
  const router = { address: central.endpoint, fingerprint: central.fingerprint };
  for (const poller of pollers) {
    const pull = { package: path.join(ROOT, 'plugins/pull'), allowCore: true, config: { router } };
    poller.settings.plugins = [{ package: fixture('probe') }, { package: path.join(ROOT, 'plugins/action') }, pull];
  }
  await Promise.all(pollers.map((poller) => poller.start()));
  // One that was there, and left.
  const node = await connect(central.door(paris));
  await node.send('REGISTERNODE', { id: 'paris', name: 'Paris', version: '1', actions: ['STEPS', 'PING'], nodes: [] });
  await node.close();
  await until('two are up and one is gone', async () => {
    return (await states()).join() === 'lyon up,oslo up,paris unreachable';
  });
});
afterAll(async () => {
  await local?.close();
  await Promise.all(pollers.map((poller) => poller.dispose()));
  await central.dispose();
});

describe('nodes', () => {
  test('shows who is there and who is not, one in full, and says what it does not know', async () => {
    const [table, json, one, near] = await Promise.all([
      central.cli('nodes'),
      central.cli('nodes', '--json'),
      central.cli('nodes', 'paris'),
      central.cli('nodes', 'osol'),
    ]);
    expect(table).toMatchObject({ code: 0, stderr: '' });
    expect(table.stdout).toMatch(
      /^router central, 3 nodes: 2 up, 1 unreachable\n\nNODE .*\nlyon .* up .*\noslo .* up /,
    );
    expect(table.stdout).toMatch(/\nwarning {2}paris is unreachable: .*\n$/);
    expect(table.stdout).not.toContain('\u001b');
    expect(objects(json.stdout)).toMatchObject([
      { id: 'lyon', state: 'up', kind: 'pull', actions: expect.arrayContaining(['STEPS']) },
      { id: 'oslo', state: 'up' },
      { id: 'paris', state: 'unreachable', name: 'Paris' },
    ]);
    expect(one.stdout).toMatch(/^paris \(Paris\) is unreachable\n.*actions {5}STEPS PING\n.*\nwarning/s);
    expect(near).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^UNKNOWN_TARGET: .*mean oslo\?/),
    });
  });

  test('are drawn again on a terminal that is given back, and on nothing else', async () => {
    const refused = await central.cli('nodes', '--watch');
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/^USAGE: --watch draws on a terminal/) });
    const words = [process.execPath, BIN, 'nodes', '--watch'].join(' ');
    // Its own terminal; the shell's own process would get the signal too.
    const terminal = spawn('script', ['-qefc', `stty cols 80 rows 24; exec ${words}`, '/dev/null'], {
      cwd: central.folder,
      // As on a person's terminal: none of these, which say something about colours.
      env: { ...process.env, CI: undefined, NO_COLOR: undefined, TERM: 'xterm-256color', WATCHED: central.folder },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => terminal.once('close', resolve));
    let seen = '';
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      seen += text;
    });
    const drawn = () => seen.split('\u001b[H').length - 1;
    await until('it was drawn twice', () => drawn() >= 2);
    expect(seen).toContain('\u001b[?1049h\u001b[?25l');
    expect(seen).toContain('\u001b[31munreachable\u001b');
    terminal.stdin.write('\u0003');
    expect(await ended).toBe(0);
    expect(seen.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
    expect(processesWith(`WATCHED=${central.folder}`)).toEqual([]);
  });
});

describe('call with several targets', () => {
  test('runs it on all nodes that have the action, and counts one that does not answer as its own outcome', async () => {
    const { code, stdout, stderr } = await central.cli('call', 'STEPS', 'rows=1', '--target', 'all', '--json');
    const outcomes = byTarget(stdout);
    expect([...outcomes.keys()].sort()).toEqual(['lyon', 'oslo', 'paris']);
    for (const id of ['lyon', 'oslo']) expect(outcomes.get(id)).toMatchObject({ node: id, type: 'STEPS', code: 2 });
    expect(outcomes.get('paris')).toMatchObject({ error: 'NODE_UNREACHABLE', token: expect.any(String) });
    expect(stderr).toBe(
      'STEPS on 3 nodes: 2 finished, 1 refused\n  refused  NODE_UNREACHABLE: paris (--hold has it kept)\n',
    );
    expect(code).toBe(1);
  });

  test('prints the answers of a read, and outcomes as text, each by its node', async () => {
    const [ping, echo] = await Promise.all([
      central.cli('call', 'PING', '--target', 'lyon,oslo'),
      central.cli('call', 'ECHO', 'n=1', '--target', 'all'),
    ]);
    expect(ping.stdout).toMatch(/^lyon\n {2}id {8}lyon\n/m);
    expect(ping.stdout).toMatch(/\nNODE {2}RESULT {4}TOOK\nlyon {2}answered {2}.*\noslo {2}answered {2}/);
    expect(ping).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nPING on 2 nodes: 2 answered\n$/) });
    expect(echo.stdout).toMatch(
      /^2 nodes: (lyon, oslo|oslo, lyon)\n {2}n {2}1\n\nNODE .*\nlyon {2}finished .* [\w-]{36}\n/,
    );
    expect(echo).toMatchObject({ code: 0, stderr: '' });
    expect(echo.stdout).toMatch(/\nECHO on 2 nodes: 2 finished; 1 node without ECHO left out\n$/);
  });

  test('prints node and token with --no-wait, and the requests run at their nodes', async () => {
    const args = ['call', 'STEPS', 'rows=1', '--target', 'lyon,oslo,paris', '--token', 'both', '--no-wait'];
    const { code, stdout, stderr } = await central.cli(...args);
    expect(stdout.split('\n').sort()).toEqual(['', 'lyon  both:lyon', 'oslo  both:oslo']);
    expect(stderr).toMatch(/^paris {2}NODE_UNREACHABLE: .*\nSTEPS on 3 nodes: 2 accepted, 1 refused\n/);
    expect(code).toBe(1);
    for (const poller of pollers) {
      const there = await connect({ address: poller.socket });
      const { id } = poller.settings.core as { id: string };
      await until('it ran', async () => (await there.query({ token: `both:${id}` })).length === 3);
      await there.close();
    }
    // The same again is the same requests.
    const again = await central.cli(...args.slice(0, -1).with(4, 'lyon,oslo'), '--no-wait', '--json');
    expect(again.code).toBe(0);
    expect(byTarget(again.stdout).get('lyon')).toMatchObject({ token: 'both:lyon', data: { duplicate: true } });
  });

  test('tells each way to end from the others', { timeout: PATIENCE_MS }, async () => {
    const actions = ['DONE', 'REFUSE', 'SILENT'];
    await carry(['bern', 'bonn'].map((id) => ({ id, state: 'up', actions })));
    const call = (...args: string[]) => central.cli('call', ...args);
    const [failed, late, follow] = await Promise.all([
      call('REFUSE', '--target', 'bern,bonn'),
      call('SILENT', '--target', 'bern,bonn', '--timeout', '500ms'),
      call('DONE', '--target', 'all', '--follow'),
    ]);
    expect(failed.stdout).toMatch(
      /\nREFUSE on 2 nodes: 2 failed\n {2}failed {2}INVALID_DATA: (bern, bonn|bonn, bern)\n$/,
    );
    expect(failed.code).toBe(1);
    expect(late.stdout).toMatch(/^SILENT on 2 nodes: 2 timed out\n {2}timed out {2}(bern, bonn|bonn, bern)\n$/m);
    expect(late.code).toBe(4);
    const bern = follow.stdout.split('\n').filter((line) => line.startsWith('bern | '));
    expect(bern[0]).toMatch(/^bern \| \S+ \S+ \S+ {2}central {2}DONE {2}accepted$/);
    expect(bern.at(-1)).toBe('bern |   by  ferry');
    expect(follow.stdout).toMatch(/^bonn \| .* {2}bonn {2}DONE {2}finished \(2\)$/m);
    expect(follow.stdout).toMatch(/^DONE on 2 nodes: 2 finished; 3 nodes without DONE left out\n$/m);
    const [one, some, odd] = await Promise.all([
      call('DONE', 'n=3', '--target', 'bern'),
      call('DONE', '--target', 'bern,nowhere,lyon'),
      call('DONE', '--target', 'all,bern'),
    ]);
    expect(one.stdout).toMatch(/^DONE [\w-]+ finished \(2\)\n {2}by {2}ferry\n {2}n {3}3\n$/);
    expect(some.stdout).toMatch(/^nowhere\n {2}UNKNOWN_TARGET: .*$/m);
    expect(some.stdout).toMatch(
      /^DONE on 3 nodes: 1 finished, 2 refused\n( {2}refused .*\n)*.*NODE_LACKS_ACTION: lyon\n/m,
    );
    expect(odd).toMatchObject({ code: 2, stderr: expect.stringMatching(/^USAGE: .*all stands alone/) });
  });

  test('chooses them by globs and labels, goes batch by batch, and stops once a command failed', {
    timeout: PATIENCE_MS,
  }, async () => {
    const actions = ['DONE', 'REFUSE'];
    const sites = { 'web-1': 'paris', 'web-2': 'paris', 'web-3': 'lyon', 'db-1': 'paris' };
    await carry(
      Object.entries(sites).map(([id, site]) => ({ id, state: 'up', actions, labels: { site } })),
      'sites',
    );
    const call = (...args: string[]) => central.cli('call', ...args);
    const [glob, labelled, both, none, unlabelled, failing] = await Promise.all([
      call('DONE', '--target', 'web-*'),
      call('DONE', '--label', 'site=paris'),
      call('DONE', '--target', 'web-*', '--label', 'site=paris', '--json'),
      call('DONE', '--target', 'mail-*'),
      call('DONE', '--label', 'site=rome'),
      call('REFUSE', '--target', 'web-*', '--batch', '1', '--fail-fast'),
    ]);
    expect(glob).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^3 nodes: .*\nDONE on 3 nodes: 3 finished\n$/s),
    });
    expect(labelled.stdout).toMatch(/\nDONE on 3 nodes: 3 finished\n$/);
    expect([...byTarget(both.stdout).keys()].sort()).toEqual(['web-1', 'web-2']);
    expect(none).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^UNKNOWN_TARGET: .* web-3/) });
    expect(unlabelled.stderr).toContain('The labels there are: site=lyon, site=paris.');
    expect(failing.code).toBe(1);
    expect(failing.stdout).toMatch(/\n {2}failed {4}INVALID_DATA: web-1\n {2}not sent {2}web-2, web-3\n$/);
    await carry([], 'sites');
  });

  test("counts a command's own exit code at several nodes, and at one if it is told to", {
    timeout: PATIENCE_MS,
  }, async () => {
    const call = (...args: string[]) => central.cli('call', 'COMMAND', 'command=sh -c "echo out; exit 3"', ...args);
    const [several, unchecked, one, checked] = await Promise.all([
      call('--target', 'lyon,oslo'),
      call('--target', 'lyon,oslo', '--no-check-exit'),
      call('--target', 'lyon'),
      call('--target', 'lyon', '--check-exit'),
    ]);
    expect(several.code).toBe(1);
    expect(several.stdout).toMatch(/^2 nodes: .*\n {2}exitCode {3}3\n/);
    expect(several.stdout).toMatch(/\nCOMMAND on 2 nodes: 2 failed\n {2}failed {2}exit 3: (lyon, oslo|oslo, lyon)\n$/);
    expect(unchecked).toMatchObject({ code: 0, stdout: expect.stringMatching(/: 2 finished\n$/) });
    expect(one.code).toBe(0);
    expect(checked).toMatchObject({ code: 1, stdout: expect.stringMatching(/ finished \(2\), and failed: exit 3\n/) });
  });

  test('has a request held for a node that is away, says so, and has its outcome when the node is back', {
    timeout: PATIENCE_MS,
  }, async () => {
    await carry([{ id: 'nice', state: 'unreachable' }], 'away');
    const args = ['call', 'DONE', '--target', 'bern,nice', '--hold', '2h', 'n=1', '--json'];
    const held = central.cli(...args, '--token', 'later');
    await until('it is held', async () => (await local.query({ token: 'later:nice' })).length === 1);
    const [single, plain] = await Promise.all([
      central.cli('call', 'DONE', '--target', 'nice', '--no-wait', '--hold', 'n=2'),
      central.cli('call', 'DONE', '--target', 'bern,nice', '--no-wait', '--hold'),
    ]);
    expect(single).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[\w-]+\n$/) });
    expect(single.stderr).toMatch(/^There is no way to nice now\. The request is held for it until 20.*\.\n$/);
    expect(plain.stderr).toMatch(/^nice {2}held until .*\nDONE on 2 nodes: 2 accepted\n {2}held {2}nice\n$/);
    await carry([{ id: 'nice', state: 'up' }], 'away');
    const { code, stdout, stderr } = await held;
    expect(code).toBe(0);
    expect(byTarget(stdout).get('nice')).toMatchObject({ token: 'later:nice', code: 2, data: { by: 'away', n: 1 } });
    const [, until2h = ''] = /^nice {2}held until (.*): there is no way/m.exec(stderr) ?? [];
    const left = Date.parse(until2h.replace(' ', 'T').replace(' ', '')) - Date.now();
    expect(Math.abs(left - 2 * 3600_000)).toBeLessThan(60_000);
    await carry([], 'away');
  });

  test(`takes ${MANY} nodes and one behind them, and ends when it is interrupted`, {
    timeout: PATIENCE_MS,
  }, async () => {
    await carry(
      Array.from({ length: MANY }, (_, i) => ({
        id: `node-${i}`,
        state: 'up',
        actions: ['PING'],
        ...(i === 0 && { subnodes: ['behind'] }),
      })),
      'many',
    );
    const { stdout, stderr } = await central.cli('call', 'PING', '--target', 'all', '--json');
    expect(objects(stdout)).toHaveLength(MANY + 4);
    expect(byTarget(stdout).get('behind')).toMatchObject({ data: { id: 'behind' } });
    expect(stderr).toMatch(new RegExp(`^PING on ${MANY + 4} nodes: ${MANY + 3} answered, 1 refused; 2 nodes without`));
    await carry([], 'many');
    const waiting = central.cli('call', 'SILENT', '--target', 'bern,bonn', '--token', 'left');
    await until('both wait', async () => {
      const rows = await Promise.all(['left:bern', 'left:bonn'].map((token) => local.query({ token })));
      return rows.every(({ length }) => length === 1);
    });
    const [pid] = processesWith('SILENT').filter((each) => processesWith('--token\u0000left').includes(each));
    process.kill(pid as number, 'SIGINT');
    const left = await waiting;
    expect(left).toMatchObject({ code: 1, stdout: expect.stringMatching(/\nSILENT on 2 nodes: 2 left running\n/) });
    expect(left.stdout).toMatch(/^2 nodes: .*\n {2}It is no longer waited for; read it by its token\.\n/);
    expect(left.stdout).toMatch(/\nbern {2}left running {2}.* {2}left:bern\n/);
  });
});

test('a read is answered, though it has no rows', async () => {
  const [text, json] = await Promise.all([central.cli('call', 'PING'), central.cli('call', 'PING', '--json')]);
  expect(text.stdout).toMatch(/^PING [\w-]+ answered\n {2}id {8}central\n/);
  expect(JSON.parse(json.stdout)).toMatchObject({ token: expect.any(String), data: { id: 'central' } });
});
