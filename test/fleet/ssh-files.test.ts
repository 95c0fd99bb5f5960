import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { startHost, type TestHost } from '@centreond/plugin-kit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ROOT, until } from '../daemon-process.ts';
import { noSshd, Sshd } from './sshd.ts';

const sum = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');
const CHUNK = 256 * 1024;
const canMount = spawnSync('unshare', ['-m', 'true']).status === 0;

interface Answer {
  offset?: number;
  done?: boolean;
  error?: string;
  message?: string;
}

describe.skipIf(noSshd)('files for an SSH node', () => {
  const sshd = noSshd ? undefined : new Sshd();
  let server: Sshd;
  let host: TestHost;
  let root = '';
  let number = 0;
  let transfer = '';

  beforeAll(async () => {
    server = await (sshd as Sshd).start();
    root = path.join(realpathSync(server.folder), 'incoming');
    mkdirSync(root);
    await begin();
  });
  afterAll(async () => {
    await host?.dispose();
    await sshd?.dispose();
  });
  beforeEach(() => {
    transfer = `transfer-${++number}`;
  });

  async function begin(): Promise<void> {
    host = await startHost(path.join(ROOT, 'plugins/ssh'), {
      config: { nodes: [server.node('web-7', { roots: [root] })] },
    });
    await isUp();
  }
  const isUp = () => until('the node is up', () => host.carried.get('web-7')?.state === 'up', 60_000);
  const ask = async (action: string, data: object): Promise<Answer[]> =>
    (await host.carry('web-7', action, { transfer, ...data }, { from: '@files' })).data.files as unknown as Answer[];
  const entry = (name: string, bytes: Buffer, more: object = {}) => ({
    path: name,
    kind: 'file',
    size: bytes.length,
    mode: 0o640,
    version: 'v1',
    ...more,
  });
  const chunk = (name: string, bytes: Buffer, offset: number, length = CHUNK) => {
    const part = bytes.subarray(offset, offset + length);
    return { path: name, offset, sha256: sum(part), data: part.toString('base64') };
  };
  /** Sends a whole file as a sender does, from `from`. */
  async function send(name: string, bytes: Buffer, from = 0): Promise<void> {
    for (let at = from; at < bytes.length; at += CHUNK) {
      expect(await ask('FILESCHUNK', { chunks: [chunk(name, bytes, at)] })).toEqual([
        { offset: Math.min(at + CHUNK, bytes.length) },
      ]);
    }
  }
  const close = (...files: [name: string, bytes: Buffer | string][]) =>
    ask('FILESCLOSE', {
      files: files.map(([name, bytes]) => ({ path: name, sha256: bytes === '' ? '' : sum(bytes) })),
    });

  test('arrive whole, in folders that are made, with their modes and nothing left staged', async () => {
    const big = Buffer.alloc(3 * CHUNK + 17, 'big and long ');
    const small = Buffer.from('small');
    const empty = Buffer.alloc(0);
    const files = [
      { path: 'www', kind: 'directory', size: 0, mode: 0o750, version: 'd' },
      entry('www/big', big),
      entry('www/deep/er/small', small, { mode: 0o755 }),
      entry('empty', empty, { mode: 0o444 }),
    ];
    expect(await ask('FILESOPEN', { files })).toEqual(files.map(() => ({ offset: 0, done: false })));
    await send('www/big', big);
    expect(await ask('FILESCHUNK', { chunks: [chunk('www/deep/er/small', small, 0)] })).toEqual([{ offset: 5 }]);
    expect(existsSync(path.join(root, 'www/big'))).toBe(false);
    expect(await close(['www/big', big], ['www/deep/er/small', small], ['empty', empty], ['www', ''])).toEqual(
      files.map(() => ({ done: true })),
    );
    expect(readFileSync(path.join(root, 'www/big')).equals(big)).toBe(true);
    expect(readFileSync(path.join(root, 'www/deep/er/small'), 'utf8')).toBe('small');
    expect(statSync(path.join(root, 'empty')).size).toBe(0);
    const mode = (name: string) => statSync(path.join(root, name)).mode & 0o7777;
    expect([mode('www'), mode('www/big'), mode('www/deep/er/small'), mode('empty')]).toEqual([
      0o750, 0o640, 0o755, 0o444,
    ]);
    // One whose answer was lost is not sent again.
    expect(await ask('FILESOPEN', { files: [entry('www/big', big)] })).toEqual([{ offset: big.length, done: true }]);
    expect(await ask('FILESCLOSE', { files: [], last: true })).toEqual([]);
    expect(readdirSync(path.join(root, '.centreond-staging'))).toEqual([]);
  });

  test('replace what is there at once, a link itself and not what it leads to', async () => {
    const outside = path.join(server.folder, 'outside');
    writeFileSync(outside, 'untouched');
    symlinkSync(outside, path.join(root, 'link'));
    writeFileSync(path.join(root, 'old'), 'old');
    const bytes = Buffer.from('new');
    await ask('FILESOPEN', { files: [entry('link', bytes), entry(path.join(root, 'old'), bytes)] });
    await ask('FILESCHUNK', { chunks: [chunk('link', bytes, 0), chunk(path.join(root, 'old'), bytes, 0)] });
    expect(await close(['link', bytes], [path.join(root, 'old'), bytes])).toEqual([{ done: true }, { done: true }]);
    expect(readFileSync(outside, 'utf8')).toBe('untouched');
    expect(lstatSync(path.join(root, 'link')).isFile()).toBe(true);
    expect(readFileSync(path.join(root, 'old'), 'utf8')).toBe('new');
  });

  test.each([
    ['../outside', 'FORBIDDEN'],
    ['a/../../outside', 'FORBIDDEN'],
    ['/etc/cron.d/evil', 'FORBIDDEN'],
    ['a//b', 'FORBIDDEN'],
    ['a/./b', 'FORBIDDEN'],
    ['a/', 'FORBIDDEN'],
    ['a\0b', 'FORBIDDEN'],
    ['.centreond-staging/x', 'FORBIDDEN'],
    ['inner/.centreond-staging/x', 'FORBIDDEN'],
    ['away/evil', 'FILES_REFUSED'],
    ['folder', 'FILES_REFUSED'],
  ])('do not leave the roots by %j', async (name, error) => {
    rmSync(path.join(root, 'away'), { force: true });
    symlinkSync(server.folder, path.join(root, 'away'));
    mkdirSync(path.join(root, 'folder'), { recursive: true });
    const bytes = Buffer.from('x');
    const [good, bad] = await ask('FILESOPEN', { files: [entry('good', bytes), entry(name, bytes)] });
    expect(good).toEqual({ offset: 0, done: false });
    expect(bad).toMatchObject({ error });
    expect(existsSync(path.join(server.folder, 'evil'))).toBe(false);
  });

  test('do not leave by a folder that became a link after they were opened', async () => {
    const bytes = Buffer.from('x');
    mkdirSync(path.join(root, 'later'));
    await ask('FILESOPEN', { files: [entry('later/evil', bytes)] });
    await send('later/evil', bytes);
    rmSync(path.join(root, 'later'), { recursive: true });
    symlinkSync(server.folder, path.join(root, 'later'));
    expect(await close(['later/evil', bytes])).toMatchObject([
      { error: 'FILES_REFUSED', message: expect.stringContaining('symbolic link') },
    ]);
    expect(existsSync(path.join(server.folder, 'evil'))).toBe(false);
  });

  test('go on from what is staged after a cut, and after the end of the instance', async () => {
    const bytes = Buffer.alloc(4 * CHUNK, 'resumed ');
    await ask('FILESOPEN', { files: [entry('resumed', bytes)] });
    await ask('FILESCHUNK', { chunks: [chunk('resumed', bytes, 0)] });
    server.cut();
    await isUp();
    await until('the node takes files again', async () => {
      const [answer] = await ask('FILESOPEN', { files: [entry('resumed', bytes)] }).catch(() => []);
      return answer?.offset === CHUNK;
    });
    await ask('FILESCHUNK', { chunks: [chunk('resumed', bytes, CHUNK)] });
    await host.dispose();
    await begin();
    expect(await ask('FILESCHUNK', { chunks: [chunk('resumed', bytes, 2 * CHUNK)] })).toMatchObject([
      { error: 'FILES_OUT_OF_STEP' },
    ]);
    expect(await ask('FILESOPEN', { files: [entry('resumed', bytes)] })).toEqual([{ offset: 2 * CHUNK, done: false }]);
    // What is there is not written again; what overlaps is, beyond what is there.
    expect(await ask('FILESCHUNK', { chunks: [chunk('resumed', bytes, 0)] })).toEqual([{ offset: 2 * CHUNK }]);
    expect(await ask('FILESCHUNK', { chunks: [chunk('resumed', bytes, 2 * CHUNK - 5)] })).toEqual([
      { offset: 3 * CHUNK - 5 },
    ]);
    await send('resumed', bytes, 3 * CHUNK - 5);
    expect(await close(['resumed', bytes])).toEqual([{ done: true }]);
    expect(readFileSync(path.join(root, 'resumed')).equals(bytes)).toBe(true);
  });

  test('of another version, with a hole, or with other bytes than they say, are out of step', async () => {
    const bytes = Buffer.alloc(CHUNK, 'a');
    await ask('FILESOPEN', { files: [entry('odd', bytes)] });
    const broken = { ...chunk('odd', bytes, 0), sha256: sum('something else') };
    expect(await ask('FILESCHUNK', { chunks: [broken] })).toMatchObject([{ error: 'FILES_OUT_OF_STEP' }]);
    expect(await ask('FILESCHUNK', { chunks: [chunk('odd', bytes, 10)] })).toMatchObject([
      { error: 'FILES_OUT_OF_STEP' },
    ]);
    expect(await close(['odd', bytes])).toMatchObject([{ error: 'FILES_OUT_OF_STEP' }]);
    await send('odd', bytes);
    expect(await ask('FILESOPEN', { files: [entry('odd', bytes, { version: 'v2' })] })).toEqual([
      { offset: 0, done: false },
    ]);
    await send('odd', bytes);
    // The whole is another than its sender says: it starts over.
    expect(await close(['odd', 'another content'])).toMatchObject([{ error: 'FILES_OUT_OF_STEP' }]);
    expect(existsSync(path.join(root, 'odd'))).toBe(false);
    expect(await ask('FILESOPEN', { files: [entry('odd', bytes, { version: 'v2' })] })).toEqual([
      { offset: 0, done: false },
    ]);
  });

  test('that its disk changed under way are not put in place', async () => {
    const bytes = Buffer.alloc(CHUNK, 'rotten');
    await ask('FILESOPEN', { files: [entry('rotten', bytes)] });
    await send('rotten', bytes);
    const staging = path.join(root, '.centreond-staging');
    const staged = readdirSync(staging)
      .flatMap((folder) => readdirSync(path.join(staging, folder)).map((name) => path.join(staging, folder, name)))
      .filter((file) => readFileSync(file).equals(bytes));
    expect(staged).toHaveLength(1);
    chmodSync(staged[0] as string, 0o600);
    writeFileSync(staged[0] as string, Buffer.alloc(CHUNK, 'b'));
    expect(await close(['rotten', bytes])).toMatchObject([{ error: 'FILES_OUT_OF_STEP' }]);
    expect(existsSync(path.join(root, 'rotten'))).toBe(false);
  });

  test('are sparse where they are zeros, also at their end', async () => {
    const bytes = Buffer.alloc(20 * CHUNK + 1);
    bytes.write('somewhere in the middle', 5 * CHUNK + 99);
    await ask('FILESOPEN', { files: [entry('sparse', bytes)] });
    await send('sparse', bytes);
    expect(await close(['sparse', bytes])).toEqual([{ done: true }]);
    expect(readFileSync(path.join(root, 'sparse')).equals(bytes)).toBe(true);
    expect(statSync(path.join(root, 'sparse')).blocks * 512).toBeLessThan(CHUNK);
  });

  test('may be opened with more folders than are kept open, of which the oldest are opened again', async () => {
    const folder = (name: string) => ({ path: name, kind: 'directory', size: 0, mode: 0o711, version: '1' });
    for (let i = 0; i < 3; i++) {
      const files = Array.from({ length: 1000 }, (_, j) => folder(`many/${i}-${j}`));
      expect((await ask('FILESOPEN', { files })).filter(({ error }) => error !== undefined)).toEqual([]);
    }
    expect(await close(['many/0-0', ''])).toMatchObject([{ error: 'FILES_OUT_OF_STEP' }]);
    await ask('FILESOPEN', { files: [folder('many/0-0')] });
    expect(await close(['many/0-0', ''], ['many/2-999', ''])).toEqual([{ done: true }, { done: true }]);
    expect(statSync(path.join(root, 'many/0-0')).mode & 0o777).toBe(0o711);
  });

  test.skipIf(!canMount)('that the disk cannot take leave room for others', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', root]);
    try {
      const large = Buffer.alloc(6 * 1024 * 1024, 'large');
      const small = Buffer.alloc(CHUNK, 'small');
      await ask('FILESOPEN', { files: [entry('large', large), entry('small', small)] });
      let answer: Answer | undefined;
      let at = 0;
      for (; answer?.error === undefined && at < large.length; at += CHUNK) {
        [answer] = await ask('FILESCHUNK', { chunks: [chunk('large', large, at)] });
      }
      expect(answer).toMatchObject({ error: 'FILES_REFUSED' });
      // What was under way meanwhile is refused for the same reason.
      expect(await ask('FILESCHUNK', { chunks: [chunk('large', large, at)] })).toEqual([answer]);
      await send('small', small);
      expect(await close(['small', small])).toEqual([{ done: true }]);
      expect(await ask('FILESCLOSE', { files: [], last: true })).toEqual([]);
      expect(readdirSync(root, { recursive: true }).sort()).toEqual(['.centreond-staging', 'small']);
    } finally {
      execFileSync('umount', ['-l', root]);
    }
  });

  test('are for plugins alone, and a node without roots takes none', async () => {
    const bytes = Buffer.from('x');
    const files = [entry('x', bytes)];
    await expect(host.carry('web-7', 'FILESOPEN', { transfer, files }, { from: 'alice' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    await host.dispose();
    host = await startHost(path.join(ROOT, 'plugins/ssh'), { config: { nodes: [server.node('web-7')] } });
    await isUp();
    expect(await ask('FILESOPEN', { files })).toMatchObject([
      { error: 'FORBIDDEN', message: expect.stringContaining('roots') },
    ]);
  });
});
