import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, processesWith, ROOT, until } from '../daemon-process.ts';
import { keygen, noSshd, Sshd } from './sshd.ts';

const at = { target: 'web-7' };
/** Starts of plugins give way to everything else: on a busy machine they take long. */
const LIMIT_MS = 60_000;
let naps = 0;
/** A number of seconds that no other sleep on this machine has. */
const nap = (): string => `${2000 + naps++}.${process.pid}`;

describe.skipIf(noSshd)('an SSH node', () => {
  const daemon = new DaemonProcess({});
  const sshd = noSshd ? undefined : new Sshd();
  const second = noSshd ? undefined : new Sshd(['MaxSessions 3']);
  const outbox = path.join(daemon.folder, 'outbox');
  const incoming = path.join(daemon.folder, 'incoming');
  let server: Sshd;
  let alice: Client;
  let root: Client;

  beforeAll(async () => {
    server = await (sshd as Sshd).start();
    keygen(path.join(daemon.folder, 'stranger'));
    const narrow = await (second as Sshd).start();
    mkdirSync(outbox);
    mkdirSync(incoming);
    daemon.settings.plugins = [
      { package: path.join(ROOT, 'plugins/files'), config: { send: ['./outbox'] } },
      {
        package: path.join(ROOT, 'plugins/ssh'),
        restart: { max: 100, within: '1s' },
        config: {
          nodes: [
            server.node('web-7', { name: 'Web 7', labels: { site: 'paris' }, roots: [incoming] }),
            server.node('impostor', { hostKey: `SHA256:${'A'.repeat(43)}` }),
            server.node('locked', { key: './stranger' }),
            narrow.node('narrow'),
            server.node('old', { hostKey: server.hostKey('rsa') }),
          ],
        },
      },
    ];
    const who = [daemon.client('alice'), daemon.client('root', ['admin'])] as const;
    await daemon.start();
    [alice, root] = await Promise.all([connect(daemon.door(who[0])), connect(daemon.door(who[1]))]);
    await isUp('web-7');
  });
  afterAll(async () => {
    await alice?.close();
    await root?.close();
    await daemon.dispose();
    await Promise.all([sshd?.dispose(), second?.dispose()]);
  });

  type Node = Record<string, unknown>;
  const node = async (id: string): Promise<Node | undefined> =>
    ((await alice.send('CONSTATUS')).data.nodes as Node[]).find((each) => each.id === id);
  const isUp = (id: string) => until(`${id} is up`, async () => (await node(id))?.state === 'up', LIMIT_MS);
  const command = (data: object) => alice.call('COMMAND', data, at);

  test('runs a command: rows as on a daemon, output as it comes, one end', async () => {
    const rows: HistoryRow[] = [];
    const data = { command: ['sh', '-c', 'echo out; echo err >&2; exit 3'] };
    const outcome = await alice.call('COMMAND', data, { ...at, onRow: (row) => rows.push(row) });
    expect(outcome).toMatchObject({
      ok: true,
      data: { exitCode: 3, signal: null, stdout: 'out\n', stderr: 'err\n', truncated: false },
      row: { node: 'web-7', type: 'COMMAND', code: 2 },
    });
    const here = rows.filter(({ node: where }) => where === 'web-7');
    expect(here.map(({ code }) => code)).toEqual([0, 100, 100, 2]);
    expect(here[0]?.data).toEqual({ owner: 'central/alice', target: 'web-7' });
    expect(here.slice(1, 3).map((row) => row.data)).toEqual(
      expect.arrayContaining([
        { stream: 'stdout', chunk: 'out\n' },
        { stream: 'stderr', chunk: 'err\n' },
      ]),
    );
  });

  test('gives the command its words, folder and variables byte for byte, and no stdin', async () => {
    const args = ['é€😀', 'a  b', '', `'"\\`, '$HOME', '*', '~', '`id`', '$(id)', '|', '&&', '-n', 'a\nb', '!!'];
    const program = 'process.stdout.write(JSON.stringify([process.argv.slice(1), process.cwd(), process.env]))';
    const env = { PLAIN: `it's "$x"`, 'with.dot': '1', PPID: '7', OPTIND: 'x', EMPTY: '' };
    const { data } = await command({ command: [process.execPath, '-e', program, '--', ...args], cwd: '/usr', env });
    const [words, cwd, seen] = JSON.parse((data as { stdout: string }).stdout) as [string[], string, object];
    expect(words).toEqual(args);
    expect(cwd).toBe('/usr');
    expect(seen).toMatchObject(env);
    expect(await command({ command: 'cat' })).toMatchObject({ data: { exitCode: 0, stdout: '' } });
    expect(await command({ command: `printf '%s,' "a b" $HOME | * > x` })).toMatchObject({
      data: { stdout: 'a b,$HOME,|,*,>,x,' },
    });
  });

  test.each([
    [['sh', '-c', 'exit 255'], { exitCode: 255, signal: null }],
    [['sh', '-c', 'exit 137'], { exitCode: 137, signal: null }],
    [['sh', '-c', 'kill -KILL $$'], { exitCode: null, signal: 'SIGKILL' }],
    [['sh', '-c', 'kill -SEGV $$'], { exitCode: null, signal: 'SIGSEGV' }],
  ])('answers how %j ended', async (words, end) => {
    expect(await command({ command: words })).toMatchObject({ ok: true, data: end });
  });

  test.each([
    [{ command: 'no-such-program-here' }, 'COMMAND_NOT_STARTED', /no-such-program-here .*PATH.*ENOENT/],
    [{ command: '/no/such/file' }, 'COMMAND_NOT_STARTED', /\/no\/such\/file .*no such file/],
    [{ command: '/etc/passwd' }, 'COMMAND_NOT_STARTED', /EACCES/],
    [{ command: '/tmp' }, 'COMMAND_NOT_STARTED', /a folder/],
    [{ command: 'export' }, 'COMMAND_NOT_STARTED', /export.*not found/],
    [{ command: 'true', cwd: '/no/such/folder' }, 'COMMAND_NOT_STARTED', /cwd \/no\/such\/folder/],
    [{ command: `echo 'open` }, 'INVALID_DATA', /single quote at character 6/],
    [{ command: 'true', timeoutSeconds: 3601 }, 'INVALID_DATA', /at most 3600/],
    [{ command: 'true', env: { CENTREOND_X: '1' } }, 'INVALID_DATA', /CENTREOND_/],
    [{ command: 'true', shell: true }, 'INVALID_DATA', /shell/],
  ])('says why %j does not start', async (data, error, message) => {
    expect(await command(data)).toMatchObject({ ok: false, data: { error, message: expect.stringMatching(message) } });
  });

  test('keeps the first MiB of each output, in the rows as in the answer', async () => {
    const rows: HistoryRow[] = [];
    const script = 'head -c 1500000 /dev/zero | tr "\\0" x; head -c 1000 /dev/zero | tr "\\0" y >&2';
    const { data } = await alice.call(
      'COMMAND',
      { command: ['sh', '-c', script] },
      { ...at, onRow: (row) => rows.push(row) },
    );
    const { stdout, stderr, truncated } = data as { stdout: string; stderr: string; truncated: boolean };
    expect([stdout.length, stderr.length, truncated]).toEqual([1024 * 1024, 1000, true]);
    const chunks = rows.filter(({ code }) => code === 100).map((row) => row.data as { stream: string; chunk: string });
    const joined = (name: string) =>
      chunks
        .filter(({ stream }) => stream === name)
        .map(({ chunk }) => chunk)
        .join('');
    expect(joined('stdout') === stdout && joined('stderr') === stderr).toBe(true);
  });

  test('ends the whole group there when it takes too long, by SIGKILL where SIGTERM does not help', async () => {
    const [polite, deaf, own] = [nap(), nap(), nap()];
    const script = `sleep ${polite} & (trap '' TERM; sleep ${deaf}; sleep ${deaf}) & bash -c 'set -m; sleep ${own} & wait'`;
    const outcome = await command({ command: ['sh', '-c', script], timeoutSeconds: 0.5 });
    expect(outcome).toMatchObject({ ok: false, data: { error: 'TIMEOUT', message: expect.stringContaining('0.5 s') } });
    for (const each of [polite, deaf, own]) expect(processesWith(each)).toEqual([]);
  });

  test('ends what a command left in its group, and not what has a session of its own', async () => {
    const [left, daemonised] = [nap(), nap()];
    const script = `sleep ${left} & setsid sleep ${daemonised} </dev/null >/dev/null 2>&1 & sleep 0.2; echo done`;
    expect(await command({ command: ['sh', '-c', script] })).toMatchObject({ data: { exitCode: 0, stdout: 'done\n' } });
    expect(processesWith(left)).toEqual([]);
    const [pid] = processesWith(daemonised);
    expect(pid).toBeDefined();
    process.kill(pid as number);
  });

  test('ends a command that is cancelled, and what it wrote is in its rows', async () => {
    const time = nap();
    const rows: HistoryRow[] = [];
    const running = alice.call(
      'COMMAND',
      { command: ['sh', '-c', `echo begun; sleep ${time}`] },
      { ...at, token: 'to-cancel', onRow: (row) => rows.push(row) },
    );
    await until('it has begun', () => rows.some(({ code }) => code === 100));
    await alice.send('CANCEL', { token: 'to-cancel' });
    expect(await running).toMatchObject({
      ok: false,
      data: { error: 'CANCELLED', message: expect.stringContaining('alice') },
      row: { node: 'web-7' },
    });
    expect(rows.find(({ code }) => code === 100)?.data).toEqual({ stream: 'stdout', chunk: 'begun\n' });
    expect(processesWith(time)).toEqual([]);
  });

  test('runs 50 commands over one connection, each once and ended once', async () => {
    const before = server.log.match(/Accepted publickey/g)?.length;
    const ledger = path.join(daemon.folder, 'fifty');
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, i) => command({ command: ['sh', '-c', `echo ${i} >> ${ledger}; echo ${i}`] })),
    );
    expect(outcomes.map(({ data }) => (data as { stdout: string }).stdout)).toEqual(
      Array.from({ length: 50 }, (_, i) => `${i}\n`),
    );
    expect(readFileSync(ledger, 'utf8').trim().split('\n')).toHaveLength(50);
    expect(server.log.match(/Accepted publickey/g)?.length).toBe(before);
    for (const { token } of outcomes) {
      const rows = await alice.query({ token });
      expect(rows.filter(({ code }) => code === 1 || code === 2)).toHaveLength(1);
    }
  });

  test('runs as many at once as its server has sessions, and the others after them', async () => {
    await isUp('narrow');
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, i) => alice.call('COMMAND', { command: `echo ${i}` }, { target: 'narrow' })),
    );
    expect(outcomes.map(({ data }) => (data as { stdout: string }).stdout)).toEqual(
      Array.from({ length: 12 }, (_, i) => `${i}\n`),
    );
  });

  test('answers PING with its name, is in CONSTATUS with all that is known of it, and has no other actions', async () => {
    expect((await alice.send('PING', {}, at)).data).toMatchObject({
      id: 'web-7',
      hostname: hostname(),
      version: expect.stringMatching(/^OpenSSH/),
    });
    // Its clock is asked for first, and the next sign of life tells its round trip.
    await until('both are known', async () => {
      const known = await node('web-7');
      return known?.clockSkewSeconds !== null && known?.roundTripMs !== null;
    });
    expect(await node('web-7')).toMatchObject({
      name: 'Web 7',
      labels: { site: 'paris' },
      kind: 'ssh',
      state: 'up',
      roundTripMs: expect.any(Number),
      clockSkewSeconds: 0,
      lastPing: expect.any(Number),
      lastPong: expect.any(Number),
      version: expect.stringMatching(/^OpenSSH/),
      actions: expect.arrayContaining(['COMMAND', 'PING', 'CANCEL']),
    });
    await expect(alice.send('FERRY', {}, at)).rejects.toMatchObject({ code: 'NODE_LACKS_ACTION' });
  });

  test('is unreachable with another host key, and the log names both', async () => {
    await until('it says so', () => daemon.stderr.includes('SHA256:AAAA'));
    expect(await node('impostor')).toMatchObject({ state: 'unreachable' });
    const line = daemon.stderr.split('\n').find((each) => each.includes('impostor')) ?? '';
    expect(line).toContain(`SHA256:${'A'.repeat(43)}`);
    expect(line).toContain(server.hostKey());
    await expect(alice.send('COMMAND', { command: 'true' }, { target: 'impostor' })).rejects.toMatchObject({
      code: 'NODE_UNREACHABLE',
    });
  });

  test('is unreachable with a key that its server does not know', async () => {
    await until('it says so', () => daemon.stderr.includes('stranger'));
    expect(await node('locked')).toMatchObject({ state: 'unreachable' });
    expect(daemon.stderr).toMatch(/does not let \S+ in with the key \S+stranger/);
  });

  test('is up where the pinned host key is of a kind that the server shows only when asked for it', async () => {
    await isUp('old');
    expect((await alice.call('COMMAND', { command: 'true' }, { target: 'old' })).ok).toBe(true);
  });

  test('takes files and folders by SENDFILES, over cuts, as they were', async () => {
    const big = randomBytes(12 * 1024 * 1024);
    mkdirSync(path.join(outbox, 'site/deep'), { recursive: true });
    writeFileSync(path.join(outbox, 'site/big'), big);
    writeFileSync(path.join(outbox, 'site/deep/small'), 'small');
    writeFileSync(path.join(outbox, 'site/deep/empty'), '');
    chmodSync(path.join(outbox, 'site/deep/small'), 0o4751);
    for (let i = 0; i < 100; i++) writeFileSync(path.join(outbox, 'site/deep', `${i}`), `file ${i}`);
    const progress: HistoryRow[] = [];
    const data = { files: [{ source: 'site', destination: 'www' }], maxRate: '4MiB' };
    const sending = alice.call('SENDFILES', data, { ...at, onRow: (row) => progress.push(row) });
    const bytes = () => (progress.at(-1)?.data as { bytes?: number } | undefined)?.bytes ?? 0;
    for (const from of [2, 6]) {
      await until(`${from} MiB are there`, () => bytes() > from * 1024 * 1024, LIMIT_MS);
      expect(server.cut()).toBeGreaterThan(0);
    }
    const { ok, data: done } = await sending;
    expect({ ok, done }).toMatchObject({ ok: true, done: { files: 103, bytesResent: expect.any(Number) } });
    // At most five chunks for each cut.
    expect((done as { bytesResent: number }).bytesResent).toBeLessThanOrEqual(2 * 5 * 256 * 1024);
    expect(readFileSync(path.join(incoming, 'www/big')).equals(big)).toBe(true);
    expect(readdirSync(path.join(incoming, 'www/deep'))).toHaveLength(102);
    expect(statSync(path.join(incoming, 'www/deep/small')).mode & 0o7777).toBe(0o751);
    expect(readdirSync(path.join(incoming, '.centreond-staging'))).toEqual([]);
    const astray = { files: [{ source: 'site/deep/small', destination: '/etc/astray' }] };
    expect(await alice.call('SENDFILES', astray, at)).toMatchObject({ ok: false, data: { error: 'FORBIDDEN' } });
    await isUp('web-7');
  });

  test('whose connection breaks ends what ran OUTCOME_UNKNOWN, ends it there, and is back by itself', async () => {
    const time = nap();
    const ledger = path.join(daemon.folder, 'cut');
    const running = command({ command: ['sh', '-c', `echo x >> ${ledger}; sleep ${time}`] });
    await until('it runs', () => processesWith(time).length > 0);
    expect(server.cut()).toBeGreaterThan(0);
    expect(await running).toMatchObject({
      ok: false,
      data: { error: 'OUTCOME_UNKNOWN', message: expect.stringMatching(/web-7 (closed|broke) the SSH connection/) },
      row: { node: 'web-7' },
    });
    await until('nothing is left of it', () => processesWith(time).length === 0);
    await isUp('web-7');
    expect(await command({ command: 'echo back' })).toMatchObject({ data: { stdout: 'back\n' } });
    expect(readFileSync(ledger, 'utf8')).toBe('x\n');
  });

  test('whose instance of the plugin is killed ends what ran OUTCOME_UNKNOWN, and nothing runs twice', async () => {
    const time = nap();
    const ledger = path.join(daemon.folder, 'killed');
    const running = command({ command: ['sh', '-c', `echo x >> ${ledger}; sleep ${time}`] });
    await until('it runs', () => processesWith(time).length > 0);
    const { data } = await alice.send('INFORMATION');
    const plugins = data.plugins as { type: string; instances: { pid: number }[] }[];
    for (const { pid } of plugins.find(({ type }) => type === 'ssh')?.instances ?? []) process.kill(pid, 'SIGKILL');
    expect(await running).toMatchObject({
      ok: false,
      data: { error: 'OUTCOME_UNKNOWN', message: expect.stringContaining('instance of the plugin ssh') },
    });
    await until('nothing is left of it', () => processesWith(time).length === 0);
    await isUp('web-7');
    expect(await command({ command: 'echo back' })).toMatchObject({ data: { stdout: 'back\n' } });
    expect(readFileSync(ledger, 'utf8')).toBe('x\n');
  });

  test('is added and deleted at run time; what it runs ends INTERRUPTED, there too', async () => {
    const relative = { ...server.node('guest'), key: './stranger' };
    expect(await root.call('ADDSSHNODE', relative)).toMatchObject({
      ok: false,
      data: { error: 'INVALID_DATA', message: expect.stringContaining('absolute') },
    });
    expect((await root.call('ADDSSHNODE', server.node('guest'))).ok).toBe(true);
    await isUp('guest');
    const time = nap();
    const running = alice.call('COMMAND', { command: `sleep ${time}` }, { target: 'guest' });
    await until('it runs', () => processesWith(time).length > 0);
    expect((await root.call('DELSSHNODE', { id: 'guest' })).ok).toBe(true);
    expect(await running).toMatchObject({ ok: false, data: { error: 'INTERRUPTED' }, row: { node: 'guest' } });
    await until('nothing is left of it', () => processesWith(time).length === 0);
    expect(await node('guest')).toBeUndefined();
  });

  test('whose router is killed ends what ran OUTCOME_UNKNOWN once that is back, and nothing runs twice', async () => {
    const time = nap();
    const ledger = path.join(daemon.folder, 'router');
    const token = 'over-a-crash';
    await alice.send('COMMAND', { command: ['sh', '-c', `echo x >> ${ledger}; sleep ${time}`] }, { ...at, token });
    await until('it runs', () => processesWith(time).length > 0);
    await daemon.end('SIGKILL');
    await daemon.start();
    await until('nothing is left of it', () => processesWith(time).length === 0, LIMIT_MS);
    const ended = async () => (await alice.query({ token })).filter(({ code }) => code === 1 || code === 2);
    await until('it has ended', async () => (await ended()).length > 0, LIMIT_MS);
    expect(await ended()).toMatchObject([{ node: 'web-7', data: { error: 'OUTCOME_UNKNOWN' } }]);
    await isUp('web-7');
    expect(await command({ command: 'echo back' })).toMatchObject({ data: { stdout: 'back\n' } });
    expect(readFileSync(ledger, 'utf8')).toBe('x\n');
  });

  test('that stops to answer is noticed within 15 s and some, and is back within 10 s', async () => {
    await isUp('web-7');
    // Of one that is just ending, as that of another node, the process may be gone by now.
    const signal = (pid: number, name: NodeJS.Signals) => {
      if (server.connections().includes(pid)) process.kill(pid, name);
    };
    const pids = server.connections();
    for (const pid of pids) signal(pid, 'SIGSTOP');
    await until('it is noticed', async () => (await node('web-7'))?.state !== 'up', 25_000);
    for (const pid of pids) signal(pid, 'SIGCONT');
    await until('it is back', async () => (await node('web-7'))?.state === 'up', 10_000);
  });
});
