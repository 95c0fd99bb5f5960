import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import ActionPlugin from '@centreond/plugin-action';
import { startHost, type TestedPlugin, testPlugin } from '@centreond/plugin-kit';
import { declarationOf, manifestOf } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure, type JsonObject, newToken } from '@centreond/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { validate } from '../../plugin-sdk/sdk/dist/schema.js';
import { ProcessGroup } from '../../plugins/action/dist/group.js';
import { Marks } from '../../plugins/action/dist/marks.js';
import { Pipes } from '../../plugins/action/dist/pipes.js';
import { Runs } from '../../plugins/action/dist/run.js';

type Plugin = TestedPlugin<ActionPlugin>;

const MIB = 1024 * 1024;
const WAIT_MS = 120_000;
const node = process.execPath;
const ACTION = path.resolve(import.meta.dirname, '../../plugins/action');

let folder: string;
const plugins: Plugin[] = [];
const shared = new Map<string, Promise<Plugin>>();

beforeAll(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'centreond-action-')));
});
afterAll(async () => {
  await Promise.all(plugins.map((each) => each.stop()));
  rmSync(folder, { recursive: true });
  expect(plugins.flatMap(({ log }) => log.filter(({ level }) => level === 'error'))).toEqual([]);
});

async function plugin(config: JsonObject = {}): Promise<Plugin> {
  const made = await testPlugin(ActionPlugin, { config });
  plugins.push(made);
  return made;
}

/** The plugin with this config, for tests that leave it as it is. */
function sharedPlugin(config: JsonObject): Promise<Plugin> {
  const key = JSON.stringify(config);
  const made = shared.get(key) ?? plugin(config);
  shared.set(key, made);
  return made;
}

interface Row {
  readonly stream: string;
  readonly chunk: string;
}
interface Output {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

/** A request of alice for COMMAND. */
class Asked {
  readonly token = newToken();
  /** Rejects with what the router refuses, or how the command failed. */
  readonly done: Promise<Output>;

  constructor(
    private readonly on: Plugin,
    input: object,
  ) {
    this.done = on
      .call('COMMAND', input, { token: this.token, identity: 'alice', timeoutMs: WAIT_MS })
      .then(({ ok, data }) => {
        if (!ok) throw new CentreondError(String(data.error), String(data.message));
        return data as unknown as Output;
      });
    // It may fail before anybody awaits it.
    this.done.catch(() => {});
  }

  get rows(): Row[] {
    return rowsOf(this.on, this.token);
  }
  cancel(): void {
    this.on.abort(this.token, failure('CANCELLED', { token: this.token, by: 'alice' }));
  }
}

function rowsOf({ rows }: Plugin, token?: string): Row[] {
  return rows
    .filter((row) => row.code === 100 && (token === undefined || row.token === token))
    .map(({ data }) => data as unknown as Row);
}

async function ask(input: object, config: JsonObject = {}): Promise<Asked> {
  return new Asked(await sharedPlugin(config), input);
}
async function run(input: object, { config = {} }: { config?: JsonObject } = {}): Promise<Output> {
  return (await ask(input, config)).done;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const limit = Date.now() + 55_000;
  while (!holds()) {
    if (Date.now() > limit) throw new Error(`not within 55 s: ${what}`);
    await pause(5);
  }
}

/** The living processes whose command line contains `text` (zombies have none). */
function running(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

/** A number of seconds that no other sleep on this machine has. */
let naps = 0;
const nap = (): string => `${1000 + (naps++ % 1000)}.${process.pid}`;

const textOf = (rows: readonly Row[], stream: string): string =>
  rows
    .filter((row) => row.stream === stream)
    .map((row) => row.chunk)
    .join('');

const PATH = process.env.PATH ?? '';

let files = 0;
const newFile = (): string => path.join(folder, `file-${files++}`);

describe('a command that ends', () => {
  it('answers exit code, signal and both outputs, and gives both as rows', async () => {
    const asked = await ask({ command: ['sh', '-c', 'echo out; echo err >&2'] });
    const output = await asked.done;
    expect(output).toEqual({ exitCode: 0, signal: null, stdout: 'out\n', stderr: 'err\n', truncated: false });
    expect(textOf(asked.rows, 'stdout')).toBe('out\n');
    expect(textOf(asked.rows, 'stderr')).toBe('err\n');
  });

  it.each([1, 3, 127, 255])('answers exit code %i as finished', async (code) => {
    expect(await run({ command: `sh -c 'exit ${code}'` })).toMatchObject({ exitCode: code, signal: null });
  });

  it.each(['SIGTERM', 'SIGKILL', 'SIGSEGV', 'SIGUSR1'])('answers %s when that ended it', async (signal) => {
    const command = ['sh', '-c', `kill -${signal.slice(3)} $$`];
    expect(await run({ command })).toMatchObject({ exitCode: null, signal });
  });

  it('gets its arguments byte for byte: non-ASCII, blanks, empty, quotes, what a shell would expand', async () => {
    const args = ['é€😀', 'a  b', '', `'"\\`, '$HOME', '*', '~', '`id`', '$(id)', '|', '&&', '-n', 'a\nb'];
    const program = 'process.stdout.write(JSON.stringify(process.argv.slice(1)))';
    const { stdout } = await run({ command: [node, '-e', program, '--', ...args] });
    expect(JSON.parse(stdout)).toEqual(args);
  });

  it('may open its outputs by path, as those of a shell can be', async () => {
    const script = 'echo both | tee /dev/stderr; echo path > /dev/stdout';
    const output = await run({ command: ['sh', '-c', script] });
    expect(output).toMatchObject({ exitCode: 0, stdout: 'both\npath\n', stderr: 'both\n' });
  });

  it('takes text as its words, operators being plain arguments', async () => {
    const { stdout } = await run({ command: `printf '%s,' "a b" $HOME | * > x && y` });
    expect(stdout).toBe('a b,$HOME,|,*,>,x,&&,y,');
  });

  it('has no input to read', async () => {
    expect(await run({ command: 'cat' })).toMatchObject({ exitCode: 0, stdout: '' });
  });

  it('runs in cwd, with env over the environment of the daemon', async () => {
    const command = ['sh', '-c', 'pwd; echo "$GREETING $HOME"'];
    const { stdout } = await run({ command, cwd: folder, env: { GREETING: 'grüß' } });
    expect(stdout).toBe(`${folder}\ngrüß ${process.env.HOME}\n`);
  });

  it('gets nothing that is for the plugin alone, except the mark by which the daemon finds its processes', async () => {
    process.env.CENTREOND_TICKET = 'secret';
    process.env.CENTREOND_INSTANCE = 'action/1';
    try {
      const { stdout } = await new Asked(await plugin(), { command: 'env' }).done;
      expect(stdout).not.toContain('secret');
      expect(stdout).toContain('CENTREOND_INSTANCE=action/1\n');
    } finally {
      delete process.env.CENTREOND_TICKET;
      delete process.env.CENTREOND_INSTANCE;
    }
  });

  it('gives output while it runs, not at its end', async () => {
    const file = newFile();
    const asked = await ask({
      command: ['sh', '-c', `echo one; while [ ! -e ${file} ]; do sleep 0.02; done; echo two`],
    });
    await until(() => textOf(asked.rows, 'stdout') === 'one\n', 'the first row');
    writeFileSync(file, '');
    expect((await asked.done).stdout).toBe('one\ntwo\n');
    expect(textOf(asked.rows, 'stdout')).toBe('one\ntwo\n');
  });

  it('joins small writes into few rows', async () => {
    const command = [node, '-e', 'for (let i = 0; i < 2000; i++) require("fs").writeSync(1, "x\\n")'];
    const asked = await ask({ command });
    expect((await asked.done).stdout).toHaveLength(4000);
    expect(asked.rows.length).toBeLessThan(50);
  });

  it('keeps the first MiB of 10 MB on each stream, in the rows too, and says so', async () => {
    const write = (to: string) => `head -c 10000000 /dev/zero | tr '\\0' ${to}`;
    const asked = await ask({ command: ['sh', '-c', `${write('o')}; ${write('e')} >&2`] });
    const output = await asked.done;
    expect(output).toMatchObject({ exitCode: 0, truncated: true });
    expect(output.stdout === 'o'.repeat(MIB)).toBe(true);
    expect(output.stderr === 'e'.repeat(MIB)).toBe(true);
    expect(textOf(asked.rows, 'stdout') === output.stdout).toBe(true);
    expect(textOf(asked.rows, 'stderr') === output.stderr).toBe(true);
    expect(Math.max(...asked.rows.map((row) => row.chunk.length))).toBeLessThanOrEqual(128 * 1024);
  });

  it('keeps exactly 1 MiB whole, and no half character at the cut', async () => {
    const exact = await run({ command: ['head', '-c', String(MIB), '/dev/zero'] });
    expect(exact.truncated).toBe(false);
    expect(exact.stdout).toHaveLength(MIB);
    const command = [node, '-e', `process.stdout.write('xx' + '€'.repeat(${MIB / 2}))`];
    const cut = await run({ command });
    expect(cut.truncated).toBe(true);
    expect(cut.stdout === `xx${'€'.repeat(Math.floor((MIB - 2) / 3))}`).toBe(true);
  });

  it('never cuts a character between rows, however the bytes come', async () => {
    // Each byte of 😀 comes in a write, and a row, of its own time.
    const program = `
      const bytes = Buffer.from('é😀ü');
      let at = 0;
      (function next() { if (at < bytes.length) { require('fs').writeSync(1, bytes, at++, 1); setTimeout(next, 60); } })();`;
    const asked = await ask({ command: [node, '-e', program] });
    expect((await asked.done).stdout).toBe('é😀ü');
    expect(asked.rows.length).toBeGreaterThan(1);
    expect(textOf(asked.rows, 'stdout')).toBe('é😀ü');
  });

  it('gives binary output with U+FFFD for what is no UTF-8, an unfinished character at the end too', async () => {
    const { stdout } = await run({ command: ['printf', 'a\\000\\377\\376b\\342\\202'] });
    expect(stdout).toBe('a\0\ufffd\ufffdb\ufffd');
  });

  it('is slowed down while nobody takes the rows, and loses none of them', async () => {
    const on = await plugin();
    const disk = on.faults.holdRows();
    const file = newFile();
    const asked = new Asked(on, { command: ['sh', '-c', `head -c 1000000 /dev/zero | tr '\\0' x; echo > ${file}`] });
    await until(() => disk.waiting === 1, 'the first row');
    await pause(100); // time enough to write a megabyte if nobody held it up
    expect(existsSync(file)).toBe(false);
    expect(disk.waiting).toBe(1);
    disk.release();
    expect((await asked.done).stdout).toHaveLength(1_000_000);
    expect(textOf(asked.rows, 'stdout')).toHaveLength(1_000_000);
  });

  it('fails, and is killed, when its rows cannot be written', async () => {
    const seconds = nap();
    const what = { argv: ['sh', '-c', `echo x; exec sleep ${seconds}`], cwd: undefined, env: { PATH } };
    const full = failure('STORE_FAILED', { reason: 'the disk is full' });
    const asker = { token: 't-1', give: () => Promise.reject(full), unkillable: () => {} };
    const runs = new Runs(new Marks({}, () => {}), new Pipes(() => {}));
    await expect(runs.run(what, new AbortController(), asker)).rejects.toBe(full);
    expect(running(seconds)).toEqual([]);
  });

  it('is read to its end, also by a process that was too busy to hear that for a second', async () => {
    const [pid, go] = [newFile(), newFile()];
    const script = `echo $$ > ${pid}.new; mv ${pid}.new ${pid}; until [ -e ${go} ]; do :; done; echo out`;
    const runs = new Runs(new Marks({}, () => {}), new Pipes(() => {}));
    const asker = { token: 't-1', give: async () => {}, unkillable: () => {} };
    const what = { argv: ['sh', '-c', script], cwd: undefined, env: { PATH } };
    const result = runs.run(what, new AbortController(), asker);
    await until(() => existsSync(pid), 'it runs');
    const busy = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const ended = (child: number) => readFileSync(`/proc/${child}/stat`, 'latin1').includes(') Z ');
    // Its end is noticed with that of another, in one look at the system that was before its output came.
    const other = spawn('echo', ['x']);
    other.stdout.once('data', () => {
      writeFileSync(go, '');
      while (!ended(Number(readFileSync(pid, 'utf8')))) busy(5);
      setImmediate(() => busy(1100));
    });
    while (!ended(other.pid as number)) busy(5);
    expect(await result).toMatchObject({ exitCode: 0, stdout: 'out\n', truncated: false });
  });

  it('runs 200 at once', async () => {
    const on = await plugin();
    const gate = newFile();
    execFileSync('mkfifo', [gate]);
    const fd = openSync(gate, 'r+');
    const commands = Array.from(
      { length: 200 },
      (_, i) => new Asked(on, { command: ['sh', '-c', `echo ${i}; read _ < ${gate}; exit ${i}`] }),
    );
    await until(() => textOf(rowsOf(on), 'stdout').split('\n').length === 201, 'all 200 run at the same time');
    writeSync(fd, '\n'.repeat(200)); // a line for each
    const outputs = await Promise.all(commands.map(({ done }) => done));
    closeSync(fd);
    expect(outputs.map((output) => output.exitCode)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(manifestOf(ActionPlugin).actions[0]?.concurrency).toBeGreaterThanOrEqual(200);
  });
});

describe('a command that cannot start', () => {
  it.each<[string, object, RegExp]>([
    ['no such program', { command: 'no-such-program -x' }, /no-such-program could not be started.*PATH.*ENOENT/],
    ['no such file', { command: '/no/such/file' }, /\/no\/such\/file could not be started.*ENOENT/],
    ['a file that is no program', { command: '/etc/passwd' }, /\/etc\/passwd could not be started.*EACCES/],
    ['a folder', { command: '/tmp' }, /\/tmp could not be started.*EACCES/],
    ['a missing cwd', { command: 'pwd', cwd: '/no/such' }, /pwd could not be started: its cwd \/no\/such/],
    ['a cwd that is a file', { command: 'pwd', cwd: '/etc/passwd' }, /cwd \/etc\/passwd is not a folder/],
    ['too long an argument', { command: ['echo', 'x'.repeat(3_000_000)] }, /echo could not be started.*E2BIG/],
  ])('says which program and why: %s', async (_, input, message) => {
    await expect(run(input)).rejects.toMatchObject({
      code: 'COMMAND_NOT_STARTED',
      message: expect.stringMatching(message),
    });
  });

  it.each<[object, RegExp]>([
    [{ command: '' }, /command/],
    [{ command: '  ' }, /command is empty/],
    [{ command: [] }, /command/],
    [{ command: ['', 'x'] }, /the name of the program is empty/],
    [{ command: `''` }, /the name of the program is empty/],
    [{ command: `echo 'x` }, /single quote at character 6/],
    [{ command: ['echo', 'a\0b'] }, /U\+0000/],
    [{ command: 'true', env: { A: 'a\0b' } }, /U\+0000/],
    [{ command: 'true', timeoutSeconds: 0 }, /timeoutSeconds/],
    [{ command: 'true', timeoutSeconds: 3601 }, /at most 3600/],
    [{ command: 'true', cwd: 'relative' }, /cwd must match pattern/],
    [{ command: 'true', env: { CENTREOND_INSTANCE: 'x' } }, /env/],
    [{ command: 'true', env: { 'A=B': 'x' } }, /env/],
    [{ command: 'true', more: 1 }, /more/],
    [{}, /command/],
  ])('%j is no valid request', async (input, message) => {
    await expect(run(input)).rejects.toMatchObject({ code: 'INVALID_DATA', message: expect.stringMatching(message) });
  });

  it('is not started for a request that has been stopped already', async () => {
    const file = newFile();
    const asked = await ask({ command: ['touch', file] });
    asked.cancel();
    await expect(asked.done).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(existsSync(file)).toBe(false);
  });
});

describe.concurrent('a command that is stopped', () => {
  it('ends TIMEOUT after its timeoutSeconds, its output until then being in the rows', async () => {
    const seconds = nap();
    const command = ['sh', '-c', `trap 'echo last words; exit' TERM; echo first; sleep ${seconds} & wait`];
    const asked = await ask({ command, timeoutSeconds: 0.3 });
    await expect(asked.done).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('0.3 s'),
    });
    expect(running(seconds)).toEqual([]);
    expect(textOf(asked.rows, 'stdout')).toBe('first\nlast words\n');
  });

  it("ends TIMEOUT after the operator's timeoutSeconds when the request has none", async () => {
    await expect(run({ command: `sleep ${nap()}` }, { config: { timeoutSeconds: 0.1 } })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
  });

  it('is killed when it ignores SIGTERM', async () => {
    const seconds = nap();
    const asked = await ask({ command: ['sh', '-c', `trap '' TERM; echo up; while :; do sleep ${seconds}; done`] });
    await until(() => asked.rows.length > 0, 'it runs');
    const started = performance.now();
    asked.cancel();
    await expect(asked.done).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(performance.now() - started).toBeGreaterThan(1900);
    expect(running(seconds)).toEqual([]);
  });

  it('ends at once when it heeds SIGTERM, even while it is suspended', async () => {
    const asked = await ask({ command: ['sh', '-c', 'echo $$; kill -STOP $$'] });
    await until(() => asked.rows.length > 0, 'it runs');
    const pid = textOf(asked.rows, 'stdout').trim();
    await until(() => readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') T '), 'it is suspended');
    const started = performance.now();
    asked.cancel();
    await expect(asked.done).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('takes its grandchildren with it, also those that a shell or timeout put in a group of their own', async () => {
    const seconds = nap();
    const script = `(trap '' TERM; sleep ${seconds}) & sh -c 'sleep ${seconds} & sleep ${seconds}' & timeout ${seconds} sleep ${seconds} & echo up; wait`;
    const asked = await ask({ command: ['sh', '-c', script] });
    await until(() => running(seconds).length >= 7, 'all of them run');
    asked.cancel();
    await expect(asked.done).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(running(seconds)).toEqual([]);
  });

  it.each(['at once', 'a moment later'])('leaves nothing when that comes %s after the start', async (when) => {
    const seconds = nap();
    const on = await plugin();
    const ended = Array.from({ length: 20 }, async (_, i) => {
      const asked = new Asked(on, { command: `sleep ${seconds}` });
      if (when === 'at once') asked.cancel();
      else setTimeout(() => asked.cancel(), i);
      await expect(asked.done).rejects.toMatchObject({ code: 'CANCELLED' });
    });
    await Promise.all(ended);
    expect(running(seconds)).toEqual([]);
  });

  it('does not wait for rows that nobody takes', async () => {
    const on = await plugin();
    const disk = on.faults.holdRows();
    const word = nap();
    const asked = new Asked(on, { command: ['yes', word], timeoutSeconds: 0.2 });
    await until(() => disk.waiting > 1 && running(word).length === 0, 'it ended, and its end waits for the disk');
    disk.release();
    await expect(asked.done).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('is as it ended when it was faster than the stop', async () => {
    const on = await plugin();
    const disk = on.faults.holdRows();
    const asked = new Asked(on, { command: 'echo done', timeoutSeconds: 0.5 });
    await until(() => disk.waiting === 2, 'its row and its end wait for the disk');
    disk.release();
    expect(await asked.done).toMatchObject({ exitCode: 0, stdout: 'done\n' });
  });
});

describe('the pipes of commands', () => {
  const descriptors = (): number => readdirSync('/proc/self/fd').length;

  it('are used again: many commands, at once and one after another, cost no further descriptors', async () => {
    const on = await plugin();
    const all = () =>
      Promise.all(Array.from({ length: 20 }, () => new Asked(on, { command: 'echo out' })).map(({ done }) => done));
    await all();
    const before = descriptors();
    for (let i = 0; i < 3; i++) expect((await all()).every(({ stdout }) => stdout === 'out\n')).toBe(true);
    await new Asked(on, { command: '/no/such/program' }).done.catch(() => {});
    expect(descriptors()).toBeLessThanOrEqual(before);
  });

  it('are not used again while a process that outlived its command may write to them', async () => {
    const on = await plugin();
    const [up, go, done] = [newFile(), newFile(), newFile()];
    const late = `echo > ${up}; while [ ! -e ${go} ]; do sleep 0.01; done; trap "" PIPE; echo late; echo > ${done}`;
    const outliving = `setsid sh -c '${late}' & while [ ! -e ${up} ]; do sleep 0.01; done`;
    const before = new Asked(on, { command: ['sh', '-c', outliving] });
    await before.done;
    const wait = `echo up; while [ ! -e ${done} ]; do sleep 0.1; done`;
    const others = Array.from({ length: 20 }, () => new Asked(on, { command: ['sh', '-c', wait] }));
    await until(() => textOf(rowsOf(on), 'stdout') === 'up\n'.repeat(20), 'all run');
    writeFileSync(go, '');
    for (const output of await Promise.all(others.map(({ done }) => done)))
      expect(output).toMatchObject({ stdout: 'up\n', stderr: '' });
  });

  it('are sockets if there are none to be had, which is told once', async () => {
    const told: unknown[] = [];
    const before = process.env.TMPDIR;
    process.env.TMPDIR = newFile();
    const runs = new Runs(new Marks({}, () => {}), new Pipes((reason) => told.push(reason)));
    try {
      for (let i = 0; i < 2; i++) {
        const what = { argv: ['echo', 'out'], cwd: undefined, env: { PATH } };
        const asker = { token: 't-1', give: async () => {}, unkillable: () => {} };
        expect(await runs.run(what, new AbortController(), asker)).toMatchObject({ stdout: 'out\n' });
      }
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
    expect(told).toMatchObject([{ code: 'ENOENT' }]);
  });
});

it('two plugins in one process give their commands marks that differ', () => {
  const running = path.join(folder, 'running');
  mkdirSync(running);
  const faults: unknown[] = [];
  const env = { CENTREOND_INSTANCE: 'mark', CENTREOND_RUNNING: running };
  const marks = [0, 1].map(() => new Marks(env, (reason) => faults.push(reason)).next());
  expect(new Set(marks.map(({ value }) => value)).size).toBe(2);
  expect(readdirSync(running).sort()).toEqual(marks.map(({ value }) => value).sort());
  expect(faults).toEqual([]);
});

describe.concurrent('what a command leaves behind', () => {
  it('is killed with its process group when it ends', async () => {
    const seconds = nap();
    const started = performance.now();
    const script = `sleep ${seconds} & (trap '' TERM; sleep ${seconds}; sleep ${seconds}) & echo up`;
    expect(await run({ command: ['sh', '-c', script] })).toMatchObject({ exitCode: 0, stdout: 'up\n' });
    expect(performance.now() - started).toBeLessThan(60_000);
    expect(running(seconds)).toEqual([]);
  });

  it('lives on in a session of its own, and does not hold the answer up', async () => {
    const seconds = nap();
    const file = newFile();
    const script = `setsid sh -c 'echo $$ > ${file}; exec sleep ${seconds}' & while [ ! -s ${file} ]; do sleep 0.01; done; echo up`;
    const started = performance.now();
    try {
      expect(await run({ command: ['sh', '-c', script] })).toMatchObject({ exitCode: 0, stdout: 'up\n' });
      expect(performance.now() - started).toBeLessThan(60_000);
      expect(running(seconds)).toHaveLength(1);
    } finally {
      process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL');
    }
  });
});

describe.concurrent('the plugin', () => {
  it('ends all that runs, and starts no more, when its instance is killed', async () => {
    const seconds = nap();
    const on = await plugin();
    const commands = Array.from({ length: 10 }, () => new Asked(on, { command: `sleep ${seconds}` }).done);
    const ended = Promise.allSettled(commands);
    await until(() => running(seconds).length === 10, 'all run');
    await on.plugin.release({ id: '', reason: failure('PLUGIN_KILLED', { type: 'action', token: 't-1' }) });
    expect(running(seconds)).toEqual([]);
    const killed = { status: 'rejected', reason: { code: 'PLUGIN_KILLED' } };
    for (const end of await ended) expect(end).toMatchObject(killed);
    await expect(new Asked(on, { command: 'true' }).done).rejects.toMatchObject({ code: 'PLUGIN_KILLED' });
  });

  it('ends all that runs as INTERRUPTED when the daemon stops, 200 that ignore SIGTERM within seconds', async () => {
    const seconds = nap();
    const on = await plugin();
    const command = ['sh', '-c', `trap '' TERM; echo; sleep ${seconds}; sleep ${seconds}`];
    const ended = Promise.allSettled(Array.from({ length: 200 }, () => new Asked(on, { command }).done));
    await until(() => textOf(rowsOf(on), 'stdout').length === 200, 'all run');
    const started = performance.now();
    await on.plugin.stop();
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(running(seconds)).toEqual([]);
    for (const end of await ended) expect(end).toMatchObject({ status: 'rejected', reason: { code: 'INTERRUPTED' } });
  });

  it('leaves nothing behind when its process exits by itself', async () => {
    const seconds = nap();
    const exit = `data:text/javascript,process.on('SIGUSR2',()=>process.exit(7))`;
    await using host = await startHost(ACTION, { env: { NODE_OPTIONS: `--import=${exit}` } });
    const script = `trap '' TERM; sleep ${seconds} & timeout ${seconds} sleep ${seconds} & sleep 0.2; echo up; wait`;
    host.send('COMMAND', { command: ['sh', '-c', script] });
    await until(() => host.rows.some(({ code }) => code === 100), 'it is up');
    expect(running(seconds).length).toBeGreaterThan(0);
    process.kill(host.pid, 'SIGUSR2');
    await until(() => running(seconds).length === 0, 'all are dead');
  });
});

describe("the operator's config", () => {
  const options = declarationOf(ActionPlugin).options;
  const read = (config: object) => validate(options.config as NonNullable<typeof options.config>, config);

  it('is 60 s, no shell, every command when it says nothing', async () => {
    expect(await read({})).toEqual({ ok: true, value: { timeoutSeconds: 60, shell: false } });
  });

  it.each<[object, string]>([
    [{ allow: ['a ** b'] }, '"a ** b"'],
    [{ allow: ["it's"] }, 'single quote'],
    [{ timeoutSeconds: 0 }, 'timeoutSeconds'],
    [{ timeoutSeconds: 90_000 }, 'timeoutSeconds'],
    [{ shell: 'yes' }, 'shell'],
    [{ alow: [] }, 'alow'],
  ])('%j is refused', async (config, reason) => {
    expect(await read(config)).toEqual({ ok: false, reason: expect.stringContaining(reason) });
  });

  it('gives text to a shell only where it says so, and a list never', async () => {
    const command = 'echo a; echo $((1 + 1)) | tr 2 b';
    expect((await run({ command })).stdout).toBe('a; echo $((1 + 1)) | tr 2 b\n');
    expect((await run({ command }, { config: { shell: true } })).stdout).toBe('a\nb\n');
    expect((await run({ command: ['echo', 'a;', '$x'] }, { config: { shell: true } })).stdout).toBe('a; $x\n');
  });

  it('lets only allowed commands run, and a refusal says what to add where', async () => {
    const config = { allow: ['echo *', `sh -c 'exit 3'`] };
    expect((await run({ command: `echo 'a b'` }, { config })).stdout).toBe('a b\n');
    expect(await run({ command: ['sh', '-c', 'exit 3'] }, { config })).toMatchObject({ exitCode: 3 });
    for (const command of ['sh -c "exit 4"', 'echo a b', ['sh', '-c exit 3'], ['echo a']]) {
      await expect(run({ command }, { config })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    }
    await expect(run({ command: ['rm', '-rf', 'a b'] }, { config })).rejects.toThrow(
      "alice may not run the command rm -rf 'a b'. To let it run, add a pattern for it to `allow` in the config of the plugin action.",
    );
  });

  it('gives a shell nothing but allowed commands', async () => {
    const config = { shell: true, allow: ['echo *', 'echo a | tr a b'] };
    expect((await run({ command: 'echo a | tr a b' }, { config })).stdout).toBe('b\n');
    expect((await run({ command: 'echo hello' }, { config })).stdout).toBe('hello\n');
    for (const command of ['echo $(id)', 'echo a;id', 'echo a | tr a c', 'echo a\nid', `echo 'a`]) {
      await expect(run({ command }, { config })).rejects.toMatchObject({
        code: expect.stringMatching(/^(FORBIDDEN|INVALID_DATA)$/),
      });
    }
  });

  it('lets no request change what an allowed name means by env or cwd, save as it says', async () => {
    writeFileSync(path.join(folder, 'uptime'), '#!/bin/sh\necho taken over\n', { mode: 0o755 });
    const allow = ['uptime', 'pwd', 'env'];
    const forbidden = { code: 'FORBIDDEN' };
    await expect(run({ command: 'uptime', env: { PATH: folder } }, { config: { allow } })).rejects.toMatchObject(
      forbidden,
    );
    await expect(run({ command: 'pwd', cwd: folder }, { config: { allow } })).rejects.toMatchObject(forbidden);
    const config = { allow, allowEnv: ['LANG'], allowCwd: [folder] };
    expect((await run({ command: 'env', env: { LANG: 'xx' } }, { config })).stdout).toContain('LANG=xx\n');
    expect((await run({ command: 'pwd', cwd: folder }, { config })).stdout).toBe(`${folder}\n`);
    await expect(run({ command: 'env', env: { LANG: 'xx', LD_PRELOAD: '/x' } }, { config })).rejects.toMatchObject(
      forbidden,
    );
    await expect(run({ command: 'pwd', cwd: `${folder}/..` }, { config })).rejects.toMatchObject(forbidden);
  });

  it('bounds what a request may ask for', async () => {
    const config = { timeoutSeconds: 5, maxTimeoutSeconds: 10 };
    expect(await run({ command: 'true', timeoutSeconds: 10 }, { config })).toMatchObject({ exitCode: 0 });
    await expect(run({ command: 'true', timeoutSeconds: 11 }, { config })).rejects.toMatchObject({
      code: 'INVALID_DATA',
    });
  });
});

describe('a process group', () => {
  it('is never signalled once its number belongs to another process', async () => {
    const stranger = spawn('sleep', [nap()], { detached: true, stdio: 'ignore' });
    const ended = once(stranger, 'exit');
    const group = new ProcessGroup(stranger.pid as number);
    group.leaderEnded(); // as if the command of this number had ended, and the kernel had given the number away
    expect(group.signal('SIGKILL')).toBe(false);
    expect(await group.end(50)).toBe(true);
    group.kill();
    stranger.kill('SIGUSR1');
    expect(await ended).toEqual([null, 'SIGUSR1']);
  });
});

it('declares what PROTOCOL.md says of COMMAND', () => {
  const manifest = manifestOf(ActionPlugin);
  expect(manifest).toMatchObject({ type: 'action', codes: { OUTPUT: 100 } });
  expect(manifest.actions).toHaveLength(1);
  expect(manifest.actions[0]).toMatchObject({
    name: 'COMMAND',
    access: ['client'],
    effects: 'destructive',
    idempotent: false,
    inFlight: 'fail',
  });
});
