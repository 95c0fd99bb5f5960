import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeadCut } from '../../plugins/ssh/dist/head-cut.js';
import { type RemoteLaunch, remoteScript } from '../../plugins/ssh/dist/remote-script.js';

const MARK = 'f00dfeed';

interface Ran {
  head: string[] | undefined;
  refusal: string[] | undefined;
  stdout: string;
  stderr: string;
  code: number | null;
  signal: string | null;
}

/** Does with a shell here what an SSH server does with one there; `act` is given its stdin once the command runs. */
async function run(
  launch: Partial<RemoteLaunch>,
  { shell = ['/bin/sh'], act }: { shell?: string[]; act?: (stdin: NodeJS.WritableStream) => void } = {},
): Promise<Ran> {
  const [program = '', ...args] = shell;
  const child = spawn(program, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  const [out, err] = [new HeadCut(MARK), new HeadCut(MARK)];
  child.stdin.on('error', () => {});
  child.stdout.pipe(out);
  child.stderr.pipe(err);
  const exited = new Promise<[number | null, string | null]>((resolve) => {
    child.once('exit', (code, signal) => {
      child.stdin.end(); // as sshd does
      resolve([code, signal]);
    });
  });
  child.stdin.write(remoteScript({ argv: [], cwd: undefined, env: {}, ...launch }, MARK));
  const read = Promise.all([buffer(out), buffer(err)]);
  const head = await out.head;
  act?.(child.stdin);
  const [stdout, stderr] = await read;
  const [code, signal] = await exited;
  return { head, refusal: out.refusal, stdout: stdout.toString(), stderr: stderr.toString(), code, signal };
}

/** Whether a process lives; a zombie has no command line. */
const alive = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`).length > 0;
  } catch {
    return false;
  }
};

describe.each([['/bin/sh'], ['/bin/bash'], ['/bin/bash --posix']])('the script of a command, read by %s', (name) => {
  const shell = name.split(' ');
  const there = existsSync(shell[0] as string);

  it.skipIf(!there)('becomes the command: its words, its streams, its end', async () => {
    const argv = ['sh', '-c', 'printf "%s|" "$@"; echo err >&2; exit 7', 'x', `it's`, '$HOME', 'a\nb', '', '!', '\\'];
    expect(await run({ argv }, { shell })).toMatchObject({
      head: [expect.stringMatching(/^\d+$/)],
      refusal: undefined,
      stdout: `it's|$HOME|a\nb||!|\\|`,
      stderr: 'err\n',
      code: 7,
    });
    expect(await run({ argv: ['sh', '-c', 'kill -SEGV $$'] }, { shell })).toMatchObject({ signal: 'SIGSEGV' });
  });

  it.skipIf(!there)('says why there is no command', async () => {
    const refusal = async (launch: Partial<RemoteLaunch>) => (await run(launch, { shell })).refusal;
    expect(await refusal({ argv: ['no-such-program'] })).toEqual(['unknown']);
    expect(await refusal({ argv: ['/no/such'] })).toEqual(['missing']);
    expect(await refusal({ argv: ['/etc/passwd'] })).toEqual(['denied']);
    expect(await refusal({ argv: ['/tmp'] })).toEqual(['folder']);
    expect(await refusal({ argv: ['export'] })).toEqual(['exec']);
    expect(await refusal({ argv: ['true'], cwd: '/no/such' })).toEqual(['cwd']);
  });

  it.skipIf(!there)('sets variables of any name', async () => {
    const env = { A: `it's`, 'b.c': '1', PPID: '7', OPTIND: 'x', BASH_ENV: '/no' };
    const { stdout } = await run({ argv: ['env'], env }, { shell });
    for (const [key, value] of Object.entries(env)) expect(stdout.split('\n')).toContain(`${key}=${value}`);
  });

  it.skipIf(!there)('ends all of it at `stop`, at `kill`, and when its stdin ends', async () => {
    for (const act of ['stop\n', 'kill\n', undefined]) {
      const argv = ['sh', '-c', 'sleep 300 & echo $!; wait'];
      const ran = await run({ argv }, { shell, act: (stdin) => (act ? stdin.write(act) : stdin.end()) });
      expect(ran.signal).toBe(act === 'kill\n' ? 'SIGKILL' : 'SIGTERM');
      // What was killed before it wrote left nothing either.
      const pid = Number(ran.stdout.trim());
      if (pid > 0) expect(alive(pid)).toBe(false);
    }
  });
});

describe('what a login shell says before the mark', () => {
  const cut = async (chunks: string[]) => {
    const head = new HeadCut(MARK);
    const source = new PassThrough();
    source.pipe(head);
    for (const chunk of chunks) source.write(chunk);
    source.end();
    const text = (await buffer(head)).toString();
    return { text, head: await head.head, refusal: head.refusal, before: head.before };
  };

  it('is kept back, and nothing else is, however it is cut into pieces', async () => {
    const line = `${MARK} 123\n`;
    await fc.assert(
      fc.asyncProperty(
        fc.string().filter((text) => !text.includes(MARK)),
        fc.constantFrom('', MARK.slice(0, 4), 'x', '\n', `x${MARK} no\n`, `${MARK}`),
        fc.array(fc.nat(60), { maxLength: 6 }),
        async (before, after, cuts) => {
          const bytes = Buffer.from(before + line + after);
          const at = [0, ...cuts.map((each) => Math.min(each, bytes.length)).sort((a, b) => a - b), bytes.length];
          const head = new HeadCut(MARK);
          const read = buffer(head);
          for (let i = 1; i < at.length; i++) head.write(bytes.subarray(at[i - 1], at[i]));
          head.end();
          expect((await read).toString()).toBe(after);
          expect(await head.head).toEqual(['123']);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is told where there is no mark, and a second line of ours is a refusal', async () => {
    expect(await cut(['This account is ', 'not available.\n'])).toEqual({
      text: '',
      head: undefined,
      refusal: undefined,
      before: 'This account is not available.\n',
    });
    expect(await cut([`${MARK} 1\n${MARK} un`, 'known\nrest'])).toMatchObject({ text: 'rest', refusal: ['unknown'] });
  });
});
