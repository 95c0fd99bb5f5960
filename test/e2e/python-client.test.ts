import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, type Finished, type Identity, until } from '../daemon-process.ts';
import { noPython, PYTHON, PYTHON_CLIENT, PYTHON_ENV } from '../debian-python.ts';

interface PythonRow {
  id: number;
  code: number;
  data: Record<string, unknown>;
}

/** A Python process, with what it has printed up to now. */
class Python {
  stdout = '';
  stderr = '';
  readonly ended: Promise<Finished>;

  constructor(args: string[]) {
    const child = spawn(PYTHON, args, { cwd: PYTHON_CLIENT, env: PYTHON_ENV, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await this.ended;
    });
  }
  get rows(): PythonRow[] {
    return this.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as PythonRow);
  }
}

const script = (text: string) => new Python(['-c', text]);

describe.skipIf(noPython)('the Python client', () => {
  const daemon = new DaemonProcess();
  // An identity may begin about one handshake a second, so the tests share the work among several.
  let ops: Identity;
  let reader: Identity;
  let keeper: Identity;
  let twin: Identity;
  beforeAll(async () => {
    [ops, reader, keeper, twin] = [
      daemon.client('ops'),
      daemon.client('reader'),
      daemon.client('keeper'),
      daemon.client('twin'),
    ];
    await daemon.start();
  });
  afterAll(() => daemon.dispose());

  const client = (who: Identity, words: string[], at: DaemonProcess = daemon, router = at.fingerprint) =>
    new Python([
      ...['centreond_client.py', '--key', who.file, '--identity', who.identity],
      ...['--door', at.endpoint, '--router', router, ...words],
    ]);
  const connected = (who: Identity, at: DaemonProcess = daemon) =>
    `import time, centreond_channel, centreond_client as c\n` +
    `client = c.Client("${at.endpoint}", "${who.identity}", c.load_key("${who.file}"), "${at.fingerprint}")\n`;

  test('names its key as the router does', async () => {
    const { stdout } = await new Python(['centreond_client.py', '--key', ops.file, '--fingerprint']).ended;
    expect(stdout.trim()).toBe(ops.fingerprint);
  });

  test('runs the example of its README as it stands there', async () => {
    const readme = readFileSync(path.join(PYTHON_CLIENT, 'README.md'), 'utf8');
    const [, example = ''] = /```python\n(.*?)```/s.exec(readme) ?? [];
    const text = example
      .replace('tcp://127.0.0.1:5555', daemon.endpoint)
      .replace('ops.pem', ops.file)
      .replace('"ROUTER"', JSON.stringify(daemon.fingerprint));
    const { code, stdout, stderr } = await script(text).ended;
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.trim().split('\n');
    expect(lines[0]).toBe('central');
    expect(lines.at(-1)).toMatch(/^UNKNOWN_ACTION No plugin here declares the action NO_SUCH_ACTION/);
    expect(lines.filter((line) => line.includes("'stdout': 'hello\\n'"))).toHaveLength(1);
    // Followed rows and stored rows are the same ones.
    const rows = (lines.length - 2) / 2;
    const codes = lines.slice(1, -1).map((line, i) => line.split(' ')[i < rows ? 0 : 1]);
    expect(rows).toBeGreaterThanOrEqual(2);
    expect(codes.slice(0, rows)).toEqual(codes.slice(rows));
    expect(codes[rows - 1]).toBe('2');
  });

  test('prints the rows of a request up to its terminal row, in any script', async () => {
    const python = client(ops, ['COMMAND', JSON.stringify({ command: ['printf', 'né 雪'] })]);
    expect((await python.ended).code).toBe(0);
    expect(python.rows[0]).toMatchObject({ code: 0 });
    expect(python.rows.at(-1)).toMatchObject({ code: 2, data: { exitCode: 0, stdout: 'né 雪' } });
  });

  test('exits 1 with the code and the sentence where a request is refused or fails', async () => {
    const refused = await client(ops, ['COMMAND', '{"comand": "ls"}']).ended;
    expect([refused.code, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toMatch(/^INVALID_DATA: .*comand/);
    const failed = client(ops, ['COMMAND', '{"command": "no-such-program"}']);
    expect((await failed.ended).code).toBe(1);
    expect(failed.rows.at(-1)).toMatchObject({ code: 1, data: { error: 'COMMAND_NOT_STARTED' } });
  });

  test('PINGs, and reads history over as many pages as there are', async () => {
    const ping = client(reader, []);
    expect((await ping.ended).code).toBe(0);
    expect(ping.rows).toEqual([expect.objectContaining({ id: 'central' })]);
    expect((await client(reader, ['COMMAND', '{"command": "echo a"}']).ended).code).toBe(0);
    const paged = client(reader, ['GETLOG', '{"id": 0, "limit": 2}']);
    expect((await paged.ended).code).toBe(0);
    const whole = client(reader, ['GETLOG', '{"id": 0}']);
    expect((await whole.ended).code).toBe(0);
    expect(whole.rows.length).toBeGreaterThan(2);
    expect(paged.rows).toEqual(whole.rows);
  });

  test('tells nobody who it is unless the pinned key answers, and says which key did', async () => {
    const { code, stderr } = await client(ops, [], daemon, ops.fingerprint).ended;
    expect(code).toBe(1);
    expect(stderr).toContain(`ProtocolError: this router has the key ${daemon.fingerprint}, and ${ops.fingerprint}`);
  });

  test('says HANDSHAKE_REFUSED where its key is not bound to its identity', async () => {
    const { code, stderr } = await client({ ...ops, identity: 'twin' }, []).ended;
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^HANDSHAKE_REFUSED: The handshake was refused\./)]);
  });

  test('takes new keys in mid-session, and its router follows', async () => {
    const text = `${connected(keeper)}centreond_channel.REKEY_SECONDS = 0
for _ in range(10): client.ping()
print(client.session.outgoing.epoch)`;
    expect(await script(text).ended).toEqual({ code: 0, stdout: '10\n', stderr: '' });
  });

  test('gives way to another process with its identity, and does not come back', async () => {
    const first = client(twin, ['COMMAND', '{"command": "sleep 60"}']);
    await until('the first one has a row', () => first.rows.length > 0);
    expect((await client(twin, []).ended).code).toBe(0);
    expect(await first.ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/^Replaced: /) });
  });

  test('takes a router that answers no PING as lost', async () => {
    const python = script(`${connected(keeper)}c.PING_AFTER, c.LOST_AFTER = 0.1, 0.5
print("connected")
try:
    client.session.receive(time.monotonic() + 30)
except c.SessionLost as lost:
    print(lost)`);
    await until('it is connected', () => python.stdout.includes('connected'));
    process.kill(daemon.pid, 'SIGSTOP');
    try {
      expect((await python.ended).stdout).toContain('did not answer a PING');
    } finally {
      process.kill(daemon.pid, 'SIGCONT');
    }
  });
});

test.skipIf(noPython)(
  'the Python client outlives its router: it reconnects, and hears how its request ended',
  async () => {
    const daemon = new DaemonProcess();
    onTestFinished(() => daemon.dispose());
    const ops = daemon.client('ops');
    await daemon.start();
    const { endpoint, fingerprint } = daemon;
    const python = new Python([
      ...['centreond_client.py', '--key', ops.file, '--identity', 'ops', '--door', endpoint, '--router', fingerprint],
      ...['COMMAND', '{"command": "sleep 60"}'],
    ]);
    await until('the request is accepted', () => python.rows.length > 0);
    await daemon.end('SIGKILL');
    await daemon.start();
    expect((await python.ended).code).toBe(1);
    expect(python.rows.map(({ code }) => code)).toEqual([0, 1]);
    expect(python.rows.at(-1)).toMatchObject({ code: 1, data: { error: 'OUTCOME_UNKNOWN' } });
  },
);
