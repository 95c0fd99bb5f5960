import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Logger, State } from '@centreond/plugin-sdk';
import { failure, type Json } from '@centreond/protocol';
import ssh2, { type Connection } from 'ssh2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCommand } from '../../plugins/ssh/dist/command.js';
import { dial, fingerprintOf } from '../../plugins/ssh/dist/dial.js';
import { digestOf, Ledger } from '../../plugins/ssh/dist/ledger.js';
import { NodeLog } from '../../plugins/ssh/dist/node-log.js';
import { endpointOf, SshConfig } from '../../plugins/ssh/dist/ssh-config.js';
import { rootsOf } from '../../plugins/ssh/dist/ssh-files.js';
import { NoChannel, SshLink } from '../../plugins/ssh/dist/ssh-link.js';
import { skewOf } from '../../plugins/ssh/dist/watch.js';
import { until } from '../daemon-process.ts';

const HOST_KEY = `SHA256:${'A'.repeat(43)}`;
const base = { id: 'web-7', type: 'ssh', address: '10.0.0.7:22', user: 'monitor', hostKey: HOST_KEY };
const config = (more: object = { key: '/keys/web-7' }): SshConfig => SshConfig.parse({ ...base, ...more });

const logged: unknown[] = [];
const entry = (...said: unknown[]) => logged.push(said);
const log: Logger = { debug: entry, info: entry, warn: entry, error: entry };

function stateOf(map: Map<string, Json>): State {
  return {
    get: async (key) => map.get(key),
    set: async (key, value) => void map.set(key, value),
    delete: async (key) => void map.delete(key),
    list: async (prefix) => [...map].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => ({ key, value })),
  };
}

describe('the config of an SSH node', () => {
  it('needs a key or a password, the host key, and absolute paths once the core has placed them', () => {
    expect(() => config({})).toThrow('must have a key, a password, or both');
    expect(() => config({ key: './keys/web-7' })).toThrow('absolute');
    expect(() => config({ password: 'hunter2' })).toThrow('file:PATH or env:NAME');
    expect(() => config({ password: 'file:./x' })).toThrow('absolute');
    expect(() => config({ key: '/k', hostKey: 'SHA256:short' })).toThrow('ssh-keygen -lf');
    expect(() => config({ key: '/k', hostKey: undefined })).toThrow();
    expect(() => config({ key: '/k', roots: ['incoming'] })).toThrow('absolute');
    expect(config({ password: 'env:SECRET' })).toMatchObject({ timeoutSeconds: 60, roots: [] });
  });

  it.each([
    ['10.0.0.7:22', '10.0.0.7', 22],
    ['web-7.example', 'web-7.example', 22],
    ['[fe80::1%eth0]:2222', 'fe80::1%eth0', 2222],
    ['[::1]', '::1', 22],
  ])('reads the address %s', (address, host, port) => {
    expect(endpointOf(config({ key: '/k', address }).address)).toEqual({ host, port });
  });
});

describe('COMMAND for an SSH node', () => {
  it('is read as on a daemon', () => {
    expect(readCommand({ command: `a 'b c'`, cwd: '/x', env: { A: '1' } }, config())).toEqual({
      launch: { argv: ['a', 'b c'], cwd: '/x', env: { A: '1' } },
      seconds: 60,
    });
    expect(readCommand({ command: ['a'], timeoutSeconds: 3600 }, config())).toMatchObject({ seconds: 3600 });
    const short = config({ key: '/k', timeoutSeconds: 50, maxTimeoutSeconds: 10 });
    expect(readCommand({ command: ['a'] }, short)).toMatchObject({ seconds: 10 });
  });

  it.each([
    [{ command: [] }, /command/],
    [{ command: '  ' }, /command is empty/],
    [{ command: [''] }, /name of the program is empty/],
    [{ command: 'a "b' }, /double quote at character 3/],
    [{ command: 'a\0' }, /U\+0000/],
    [{ command: 'a', timeoutSeconds: 3601 }, /at most 3600/],
    [{ command: 'a', cwd: 'x' }, /absolute/],
    [{ command: 'a', env: { CENTREOND_A: '' } }, /CENTREOND_/],
    [{ command: 'a', more: 1 }, /more/],
  ])('refuses %j', (data, message) => {
    expect(() => readCommand(data as never, config())).toThrow(message);
  });
});

describe('the log of an SSH node', () => {
  const draft = (code: number, data: Json = {}) => ({ token: 't', type: 'COMMAND', code, data });
  type Sent = { epoch: string; rows: { id: number; data: Json }[]; last: number };

  it('gives its rows to the core in order, again until they are taken, under one epoch', async () => {
    const sent: Sent[] = [];
    let failures = 2;
    const send = async (action: string, data: object, options?: { target?: string }) => {
      expect([action, options?.target]).toEqual(['SETLOGS', 'web-7']);
      sent.push(structuredClone(data) as Sent);
      if (failures-- > 0) throw failure('NOT_ACKNOWLEDGED', { token: '', seconds: 30 });
      return { token: '', data: { stored: 1, known: 0, refused: [] } };
    };
    const rows = new NodeLog('web-7', { send }, log);
    await Promise.all([1, 2, 3].map((code) => rows.append(draft(code)).taken));
    await rows.append(draft(4)).taken;
    expect(sent.map(({ rows: some }) => some.map(({ id }) => id))).toEqual([[1, 2, 3], [1, 2, 3], [1, 2, 3], [4]]);
    expect(sent.map(({ last }) => last)).toEqual([3, 3, 3, 4]);
    expect(new Set(sent.map(({ epoch }) => epoch)).size).toBe(1);
  });

  it('waits where the core does not know yet who carries the node, and lets go of what it never takes', async () => {
    const answers = [{ refused: [{ id: 1, error: 'FORBIDDEN' }] }, { refused: [{ id: 1, error: 'TOO_LARGE' }] }];
    const rows = new NodeLog('web-7', { send: async () => ({ token: '', data: answers.shift() ?? {} }) }, log);
    await rows.append(draft(100)).taken;
    expect(answers).toEqual([]);
    expect(JSON.stringify(logged)).toContain('TOO_LARGE');
  });

  it('holds back who writes while the core takes nothing, and no message has more than 1,000 rows', async () => {
    const waiting: (() => void)[] = [];
    const sizes: number[] = [];
    const send = async (_: string, data: object) => {
      sizes.push((data as Sent).rows.length);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return { token: '', data: {} };
    };
    const rows = new NodeLog('web-7', { send }, log);
    let held = 0;
    for (let i = 0; i < 6000; i++) {
      let free = false;
      void rows.append(draft(100)).room.then(() => {
        free = true;
      });
      if (i >= 4999) {
        await Promise.resolve();
        if (!free) held++;
      }
    }
    expect(held).toBeGreaterThan(900);
    const last = rows.append(draft(2)).taken;
    const pump = setInterval(() => waiting.shift()?.(), 1);
    await last;
    clearInterval(pump);
    expect(Math.max(...sizes)).toBe(1000);
    // A big row goes alone.
    void rows.append(draft(100, 'x'.repeat(3_000_000)));
    await until('it went', () => sizes.at(-1) === 1);
    await rows.close(10);
  });
});

describe('the ledger of an SSH node', () => {
  it('shows what another left once that is gone, and never what one takes that is at work', async () => {
    const map = new Map<string, Json>();
    const [first, second] = [new Ledger('web-7', stateOf(map)), new Ledger('web-7', stateOf(map))];
    const long = 't'.repeat(255);
    await first.take('a', 'COMMAND', 'digest');
    await first.take(long, 'COMMAND', 'digest');
    expect([...map.keys()].every((key) => key.length <= 255)).toBe(true);
    expect(await second.find(long)).toMatchObject({ token: long, action: 'COMMAND' });
    expect(await second.left()).toEqual({ orphans: [], others: 2 });
    expect(await first.left()).toEqual({ orphans: [], others: 0 });
    first.close();
    expect((await second.left()).orphans.map(({ token }) => token).sort()).toEqual(['a', long]);
    await second.forget('a');
    expect((await second.left()).orphans).toHaveLength(1);
  });

  it('takes the entries of a process that ended for orphans, also where its number is given away', async () => {
    const map = new Map<string, Json>();
    const put = (token: string, pid: number, born: string) =>
      map.set(`ssh/web-7/${token}`, { token, action: 'COMMAND', digest: '', by: { object: 'x', pid, born } });
    put('other', process.ppid, '1');
    put('ended', spawnEnded(), '1');
    const { orphans } = await new Ledger('web-7', stateOf(map)).left();
    expect(orphans.map(({ token }) => token).sort()).toEqual(['ended', 'other']);
  });

  it('tells requests under one token apart', () => {
    expect(digestOf('COMMAND', { command: 'a' })).not.toBe(digestOf('COMMAND', { command: 'b' }));
  });
});

function spawnEnded(): number {
  return Number(execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }));
}

describe('what is seen of a clock', () => {
  it.each([
    [1000, 1_000_200, 1_000_220, 0],
    [1000, 999_900, 1_000_100, 0],
    [1060, 1_000_200, 1_000_220, 60],
    [400, 1_000_200, 1_000_220, -600],
    [1000, 1_000_000, 1_003_000, undefined],
    [Number.NaN, 0, 1, undefined],
  ])('%s s, asked at %s and answered at %s ms, is %s ahead', (seconds, from, to, ahead) => {
    expect(skewOf(seconds, from, to)).toBe(ahead);
  });
});

describe('a path on an SSH node', () => {
  it('lies below the first root, or below the one that contains it', () => {
    const roots = rootsOf('web-7', ['/srv/in', '/srv/in/deep/', '/opt']);
    expect(roots.place('a/b', 'x')).toEqual({ root: '/srv/in', names: ['a', 'b'] });
    expect(roots.place('/srv/in/deep/a', 'x')).toEqual({ root: '/srv/in/deep/', names: ['a'] });
    expect(roots.place('/opt', 'x')).toEqual({ root: '/opt', names: [] });
    expect(() => roots.place('/srv/inner', 'x')).toThrow('none of the roots');
    expect(() => rootsOf('web-7', []).place('a', 'x')).toThrow('no roots');
  });
});

/** A key that ssh2 can read: now and then it writes one that it cannot. */
function keyPair(passphrase?: string): { public: string; private: string } {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync(
      'ed25519',
      passphrase === undefined ? {} : { passphrase, cipher: 'aes256-ctr', rounds: 16 },
    );
    if (!(ssh2.utils.parseKey(pair.private, passphrase) instanceof Error)) return pair;
  }
}

describe('a login', () => {
  let folder = '';
  let server: ssh2.Server;
  let methods: string[] = [];
  const host = keyPair();
  const own = keyPair();
  const locked = keyPair('open sesame');
  const fingerprint = fingerprintOf((ssh2.utils.parseKey(host.public) as ssh2.ParsedKey).getPublicSSH());
  let offered: ('password' | 'keyboard-interactive' | 'publickey')[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'centreond-ssh-'));
    writeFileSync(path.join(folder, 'own'), own.private);
    writeFileSync(path.join(folder, 'locked'), locked.private);
    writeFileSync(path.join(folder, 'secret'), 'pass word\n');
    writeFileSync(path.join(folder, 'wrong'), 'wrong word\n');
    writeFileSync(path.join(folder, 'passphrase'), 'open sesame\n');
    server = new ssh2.Server({ hostKeys: [host.private] }, (client: Connection) => {
      client.on('error', () => {});
      client.on('authentication', (context) => {
        if (!offered.includes(context.method as never)) return context.reject(offered);
        methods.push(context.method);
        if (context.method === 'publickey') context.accept();
        else if (context.method === 'password') {
          if (context.password === 'pass word') context.accept();
          else context.reject(offered);
        } else if (context.method === 'keyboard-interactive') {
          context.prompt([{ prompt: 'Password: ', echo: false }], ([word]) =>
            word === 'pass word' ? context.accept() : context.reject(offered),
          );
        } else context.reject(offered);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  async function login(more: object, allowed: typeof offered): Promise<string> {
    offered = allowed;
    methods = [];
    const { port } = server.address() as { port: number };
    const node = config({ address: `127.0.0.1:${port}`, hostKey: fingerprint, ...more });
    const dialled = await dial(node, new AbortController().signal);
    dialled.socket.destroy();
    return methods.at(-1) ?? '';
  }
  const file = (name: string) => `file:${path.join(folder, name)}`;
  const key = (name: string) => path.join(folder, name);

  it('is by the key, by the password, or by the question for it, whichever the server takes', async () => {
    expect(await login({ key: key('own') }, ['publickey'])).toBe('publickey');
    expect(await login({ password: file('secret') }, ['password'])).toBe('password');
    expect(await login({ password: file('secret') }, ['keyboard-interactive'])).toBe('keyboard-interactive');
    expect(await login({ key: key('own'), password: file('secret') }, ['password'])).toBe('password');
    expect(await login({ key: key('locked'), passphrase: file('passphrase') }, ['publickey'])).toBe('publickey');
  });

  it('that fails says why, and never a secret', async () => {
    const why = async (more: object, allowed: typeof offered = ['password', 'keyboard-interactive']) => {
      const text = await login(more, allowed).then(
        () => 'let in',
        (error: Error) => error.message,
      );
      expect(text).not.toMatch(/pass word|wrong word|open sesame/);
      return text;
    };
    expect(await why({ password: file('wrong') })).toMatch(/does not let monitor in with the password/);
    expect(await why({ key: key('own') })).toMatch(/does not let monitor in with the key \S+own/);
    expect(await why({ key: key('none') })).toMatch(/key \S+none cannot be read/);
    expect(await why({ key: key('secret') })).toMatch(/key \S+secret cannot be used/);
    expect(await why({ key: key('locked') })).toMatch(/is encrypted and the node has no passphrase/);
    expect(await why({ key: key('locked'), passphrase: file('secret') })).toMatch(/cannot be used/);
    expect(await why({ password: 'env:CENTREON_NO_SUCH' })).toMatch(/env:CENTREON_NO_SUCH .* not set/);
    expect(await why({ key: key('own'), hostKey: HOST_KEY }, ['publickey'])).toMatch(
      new RegExp(`${fingerprint.replaceAll('+', '\\+')}.*${HOST_KEY}`),
    );
    expect(await why({ key: key('own'), address: '127.0.0.1:1' })).toMatch(/not reached at 127.0.0.1:1/);
  });
});

describe('a channel that the server opens after the limit', () => {
  const host = keyPair();
  const own = keyPair();
  const folder = mkdtempSync(path.join(tmpdir(), 'centreond-ssh-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(['exec', 'sftp'] as const)('by %s is closed, and the next one opens', async (kind) => {
    writeFileSync(path.join(folder, 'own'), own.private);
    const shells = new Set<ChildProcess>();
    let held: (() => void)[] | undefined;
    let closed = 0;
    const server = new ssh2.Server({ hostKeys: [host.private] }, (client: Connection) => {
      client.on('error', () => {});
      client.on('authentication', (context) => context.accept());
      client.on('session', (accept) => {
        const session = accept();
        const isHeld = held !== undefined;
        const when = (answer: () => void) => (held ? void held.push(answer) : answer());
        session.on('close', () => {
          if (isHeld) closed++;
        });
        session.on('sftp', (take) => when(() => void take().on('error', () => {})));
        session.on('exec', (take, _reject, { command }) =>
          when(() => {
            const channel = take();
            const shell = spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'pipe', 'ignore'] });
            shells.add(shell);
            channel.pipe(shell.stdin);
            shell.stdout.pipe(channel);
            shell.stdin.on('error', () => {});
            channel.on('error', () => {}).on('close', () => shell.kill());
            shell.on('exit', (code) => {
              shells.delete(shell);
              channel.exit(code ?? 1);
              channel.end();
            });
          }),
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const hostKey = fingerprintOf((ssh2.utils.parseKey(host.public) as ssh2.ParsedKey).getPublicSSH());
    const node = config({ address: `127.0.0.1:${port}`, hostKey, key: path.join(folder, 'own') });
    const link = await SshLink.open(node, new AbortController().signal, () => {}, 2000);
    try {
      held = [];
      const late: Promise<unknown> = kind === 'exec' ? link.exec('/bin/sh') : link.sftp();
      await expect(late).rejects.toBeInstanceOf(NoChannel);
      const [answer] = held;
      held = undefined;
      answer?.();
      await until('the server closed the late channel', () => closed === 1);
      await (kind === 'exec' ? link.exec('/bin/sh') : link.sftp());
      expect(link.gone.aborted).toBe(false);
    } finally {
      link.close();
      server.close();
      await until('no shell is left', () => shells.size === 0);
    }
  });
});
