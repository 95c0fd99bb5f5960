import { createHash } from 'node:crypto';
import { type Found, type Place, Receiver, Roots, type Store, StoreRefusal, type Wanted } from '@centreond/receiving';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SftpRefusal } from '../../plugins/receiving/dist/sftp.js';
import { SftpStore } from '../../plugins/receiving/dist/sftp-store.js';
import { ProxyStage, settle } from './proxy-stage.ts';

interface Staged {
  readonly key: string;
  open: boolean;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const nameOf = ({ root, names }: Place) => [root, ...names].join('/');

/** A store in memory, as a third party might write one. */
class MemoryStore implements Store<Staged> {
  readonly writes = 2;
  readonly closes = 2;
  readonly arrived = new Map<string, Buffer>();
  readonly #staged = new Map<string, Buffer>();
  readonly #open = new Set<Staged>();
  readonly done: string[] = [];
  mostOpen = 0;
  /** What each step does before its own work. */
  before: (step: string, name: string) => Promise<void> = async () => {};

  async stage({ path, version }: Wanted): Promise<Staged> {
    return { key: `${path} ${version}`, open: false };
  }
  async find({ key }: Staged): Promise<Found> {
    return { arrived: false, size: this.#staged.get(key)?.length ?? 0 };
  }
  async checkPlace(_: Staged, place: Place): Promise<void> {
    await this.before('place', nameOf(place));
  }
  async append(file: Staged, bytes: Buffer, at: number): Promise<void> {
    this.#open.add(file);
    this.mostOpen = Math.max(this.mostOpen, this.#open.size);
    await this.before('append', file.key);
    const there = this.#staged.get(file.key) ?? Buffer.alloc(0);
    expect(there.length).toBe(at);
    this.#staged.set(file.key, Buffer.concat([there, bytes]));
  }
  async rest(file: Staged): Promise<void> {
    this.#open.delete(file);
  }
  async remove({ key }: Staged): Promise<void> {
    this.#staged.delete(key);
  }
  verify(files: readonly { staged: Staged }[]): readonly Promise<string>[] {
    return files.map(async ({ staged: { key } }) => {
      await this.before('verify', key);
      return sha256(this.#staged.get(key) ?? Buffer.alloc(0));
    });
  }
  async settle({ key }: Staged, place: Place): Promise<void> {
    this.arrived.set(nameOf(place), this.#staged.get(key) ?? Buffer.alloc(0));
    this.#staged.delete(key);
    this.done.push(nameOf(place));
  }
  async makeFolder(): Promise<void> {}
  async settleFolder(place: Place): Promise<void> {
    this.done.push(`${nameOf(place)}/`);
  }
  async syncFolder(): Promise<void> {}
  async release(): Promise<void> {}
  async removeTransfer(): Promise<void> {
    this.#staged.clear();
  }
  async purge(): Promise<number> {
    return 0;
  }
}

let store: MemoryStore;
let receiver: Receiver<Staged>;
beforeEach(() => {
  vi.useFakeTimers();
  store = new MemoryStore();
  const roots = new Roots(['/in'], { what: (path) => `write ${path}`, none: 'None.', outside: () => 'Outside.' });
  receiver = new Receiver({ roots, log: new ProxyStage().log, store: async () => store });
});
afterEach(() => void vi.useRealTimers());

const transfer = 't';
const bytes = Buffer.from('some bytes');
const file = (path: string) => ({ path, kind: 'file' as const, size: bytes.length, mode: 0o644, version: '1' });
const folder = (path: string) => ({ path, kind: 'directory' as const, size: 0, mode: 0o555, version: '1' });
const chunk = (path: string, from = 0, to = bytes.length) => {
  const piece = bytes.subarray(from, to);
  return { path, offset: from, sha256: sha256(piece), data: piece.toString('base64') };
};
const closed = (path: string) => ({ path, sha256: sha256(bytes) });
const open = (...files: (ReturnType<typeof file> | ReturnType<typeof folder>)[]) =>
  receiver.open({ transfer, files }, 'central');
const take = (...chunks: ReturnType<typeof chunk>[]) => receiver.take({ transfer, chunks });
const close = (...files: { path: string; sha256: string }[]) => receiver.close({ transfer, files });

test('a store of a third party receives; folders get their modes after what is in them, the deepest first', async () => {
  await open(folder('a'), folder('a/b'), file('a/b/f'));
  expect((await take(chunk('a/b/f'))).files).toEqual([{ offset: bytes.length }]);
  const folders = ['a', 'a/b'].map((path) => ({ path, sha256: '' }));
  expect((await close(...folders, closed('a/b/f'))).files).toEqual([{ done: true }, { done: true }, { done: true }]);
  expect(store.done).toEqual(['/in/a/b/f', '/in/a/b/', '/in/a/']);
  expect(store.arrived.get('/in/a/b/f')).toEqual(bytes);
});

test('a sender may open 20,000 and more folders before it closes the first', async () => {
  const opened = { offset: 0, done: false };
  for (let i = 0; i < 21; i++) {
    const names = Array.from({ length: 1000 }, (_, j) => `${i}-${j}`);
    expect((await open(...names.map(folder))).files).toEqual(names.map(() => opened));
  }
  const first = { path: '0-0', sha256: '' };
  // It has forgotten the first one, says so in the way that has it opened again, and takes it then.
  expect((await close(first)).files).toMatchObject([{ error: 'FILES_OUT_OF_STEP' }]);
  expect((await open(folder('0-0'))).files).toEqual([opened]);
  expect((await close(first)).files).toEqual([{ done: true }]);
  expect(store.done).toEqual(['/in/0-0/']);
});

test('no more files are held open than the store writes at once, however many a message has parts of', async () => {
  const paths = ['a', 'b', 'c', 'd', 'e'];
  await open(...paths.map(file));
  await take(...paths.map((path) => chunk(path, 0, 3)), ...paths.map((path) => chunk(path, 3)));
  expect(store.mostOpen).toBe(store.writes);
  expect((await close(...paths.map(closed))).files).toEqual(paths.map(() => ({ done: true })));
});

test('what takes long to verify is answered done: false, is not begun again, and arrives', async () => {
  let verified = 0;
  const slow = Promise.withResolvers<void>();
  store.before = async (step) => {
    if (step !== 'verify') return;
    verified++;
    await slow.promise;
  };
  await open(file('f'));
  await take(chunk('f'));
  const first = close(closed('f'));
  await vi.advanceTimersByTimeAsync(10_000);
  expect((await first).files).toEqual([{ done: false }]);
  // Its sender was cut off, and opens it again.
  expect((await open(file('f'))).files).toEqual([{ offset: bytes.length, done: false }]);
  const second = close(closed('f'));
  await settle();
  slow.resolve();
  expect((await second).files).toEqual([{ done: true }]);
  expect(verified).toBe(1);
});

test('a refusal is of one file, and of its staged part nothing stays; any other error is of the message', async () => {
  store.before = async (step, name) => {
    if (step === 'append' && name === 'full 1') throw new StoreRefusal('the disk is full');
  };
  await open(file('full'), file('f'));
  const answers = (await take(chunk('full'), chunk('f'))).files;
  expect(answers).toEqual([
    { error: 'FILES_REFUSED', message: expect.stringContaining('the disk is full') },
    { offset: bytes.length },
  ]);
  store.before = async (step) => {
    if (step === 'append') throw new Error('the session broke off');
  };
  await open(file('g'));
  await expect(take(chunk('g'))).rejects.toThrow('the session broke off');
  store.before = async () => {};
  expect((await open(file('full'), file('g'))).files).toEqual([
    { offset: 0, done: false },
    { offset: 0, done: false },
  ]);
  await take(chunk('full'), chunk('g'));
  expect((await close(...['full', 'f', 'g'].map(closed))).files).toEqual([
    { done: true },
    { done: true },
    { done: true },
  ]);
});

test('a file whose SHA-256 is another is staged again from its beginning', async () => {
  await open(file('f'));
  await take(chunk('f'));
  expect((await close({ path: 'f', sha256: 'f'.repeat(64) })).files).toEqual([
    { error: 'FILES_OUT_OF_STEP', message: expect.stringContaining('another than its sender says') },
  ]);
  expect((await open(file('f'))).files).toEqual([{ offset: 0, done: false }]);
  await take(chunk('f'));
  expect((await close(closed('f'))).files).toEqual([{ done: true }]);
});

test('a transfer that is opened while it is let go of waits, so that the store does not close its files', async () => {
  const letGo = Promise.withResolvers<void>();
  await open(file('f'));
  const release = vi.spyOn(store, 'release').mockReturnValue(letGo.promise);
  const stopped = receiver.stop();
  await settle();
  expect(release).toHaveBeenCalledTimes(1);
  const staged = vi.spyOn(store, 'stage');
  const again = open(file('f'));
  await settle();
  expect(staged).not.toHaveBeenCalled();
  letGo.resolve();
  await stopped;
  expect((await again).files).toEqual([{ offset: 0, done: false }]);
});

test('an empty file that cannot be made by SFTP, or one that cannot be read back, is refused by itself', async () => {
  const sftp = {
    openToWrite: async (path: string) => {
      if (path === 'full') throw new SftpRefusal(4, 'no space');
      return Buffer.from(path);
    },
    close: async () => {},
    read: async (path: string, _: number, take: (bytes: Buffer) => void) => {
      if (path !== 'sound' && path !== 'empty') throw new SftpRefusal(3, 'no permission');
      if (path === 'sound') take(bytes);
    },
  };
  const files = ['full', 'empty', 'sound', 'locked'].map((path) => ({
    staged: { wanted: {} as never, path, open: undefined },
    size: path === 'full' || path === 'empty' ? 0 : bytes.length,
  }));
  const sums = await Promise.allSettled(new SftpStore(sftp as never).verify(files));
  expect(sums.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as Error).message))).toEqual([
    'no space',
    sha256(Buffer.alloc(0)),
    sha256(bytes),
    '',
  ]);
});
