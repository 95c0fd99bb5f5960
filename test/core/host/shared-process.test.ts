import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import os from 'node:os';
import { PassThrough } from 'node:stream';
import { type Greeting, lineLogger } from '@centreond/plugin-runtime';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Instance } from '../../../core/dist/host/instance.js';
import { PluginProcess } from '../../../core/dist/host/plugin-process.js';
import { SharedProcess } from '../../../core/dist/host/shared-process.js';
import { type InstancePeer, Tickets } from '../../../core/dist/router/instance-link.js';
import { manifest, settle, TestPeer, World } from '../router/world.ts';
import { TestLog } from '../store/opened.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Above every number that a kernel gives a process. */
const NO_PID = 2 ** 30;

/** A child process without a process. */
class FakeChild extends EventEmitter {
  readonly pid = NO_PID;
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();

  /** The plugins that it was told to run. */
  get greetings(): Greeting[] {
    const lines = String(this.stdin.read() ?? '').split('\n');
    return lines.filter(Boolean).map((line) => JSON.parse(line) as Greeting);
  }
}

class FakePeer extends TestPeer implements InstancePeer {
  end(): void {
    this.leave();
  }
}

/** Plugins that share a process, without one. */
class Shared {
  readonly children: FakeChild[] = [];
  readonly log = new TestLog();
  readonly tickets = new Tickets();
  readonly exits: Record<string, { cause: string; isBystander: boolean }[]> = {};
  readonly process = new SharedProcess(
    () =>
      new PluginProcess({
        name: 'shared',
        isShared: true,
        folder: '/',
        env: {},
        limits: { stuckMs: 3000 },
        mark: 'test:',
        notes: os.tmpdir(),
        log: this.log as never,
        spawn: (() => {
          const child = new FakeChild();
          this.children.push(child);
          return child;
        }) as unknown as typeof spawn,
      }),
  );

  get child(): FakeChild {
    return this.children.at(-1) as FakeChild;
  }

  /** Starts a plugin, which runs `running`. Its process has not heard of it yet. */
  start(type: string, running: string[] = [], secrets: string[] = []): Instance {
    this.process.add(type);
    const exits: { cause: string; isBystander: boolean }[] = [];
    this.exits[type] = exits;
    return new Instance(
      {
        type,
        id: '1',
        main: `/${type}.js`,
        settings: () => ({ config: {}, secrets }),
        allowsCallers: false,
        hash: 'hash',
        endpoint: 'ipc://nowhere',
        maxMessage: 1e6,
        startLimitMs: 5000,
        tickets: this.tickets,
      },
      {
        ready: () => {},
        said: () => undefined,
        reported: () => undefined,
        message: () => {},
        running: () => running,
        ending: () => {},
        exited: (cause, isBystander) => exits.push({ cause, isBystander }),
      },
      () => this.process.processFor(type),
    );
  }

  /** The process takes in each plugin that it was told of since, and all of them are ready. */
  enter(): FakePeer[] {
    return this.child.greetings.map(({ ticket, type }) => {
      const link = this.tickets.redeem(ticket);
      const peer = new FakePeer(`@${type}`);
      link?.enter(peer);
      link?.receive(Buffer.from('[READY] [] [] {"hash":"hash"}'));
      return peer;
    });
  }
}

describe('plugins that share a process', () => {
  test('are told to one child, each with a number of its own', () => {
    const shared = new Shared();
    for (const type of ['cron', 'files']) shared.start(type);
    expect(shared.children).toHaveLength(1);
    expect(shared.child.greetings.map(({ type, seat }) => [type, seat])).toEqual([
      ['cron', 1],
      ['files', 2],
    ]);
    expect(shared.process.othersThan('cron')).toEqual(['files']);
  });

  test('all end when one of them says what it may not, and that one is named', async () => {
    const shared = new Shared();
    const cron = shared.start('cron', ['CRON cron:1']);
    shared.start('files');
    shared.enter();
    cron.condemn('it sent nonsense');
    shared.child.emit('exit', null, 'SIGKILL');
    const what = 'it sent nonsense (running CRON cron:1)';
    expect(shared.exits).toEqual({
      cron: [{ cause: what, isBystander: false }],
      files: [{ cause: `ended with cron, which shares its process: ${what}`, isBystander: true }],
    });
  });

  test('all end when one of them crashes, and that one is named, with what it threw', async () => {
    const shared = new Shared();
    for (const type of ['cron', 'files']) shared.start(type);
    shared.enter();
    const mark = { seat: 2, ends: 'nothing caught what was thrown: boom' };
    const line = { level: 'error', $: mark, msg: 'the process ends' };
    shared.child.stderr.write(`${JSON.stringify(line)}\n`);
    await new Promise((resolve) => setImmediate(resolve));
    shared.child.emit('exit', 1, null);
    const cause = 'exit code 1: nothing caught what was thrown: boom';
    expect(shared.exits).toEqual({
      cron: [{ cause: `ended with files, which shares its process: ${cause}`, isBystander: true }],
      files: [{ cause, isBystander: false }],
    });
  });

  test('are all told what each of them ran when their event loop is stuck', async () => {
    const shared = new Shared();
    shared.start('cron', ['CRON cron:1']);
    shared.start('files');
    shared.enter();
    await vi.advanceTimersByTimeAsync(10_000);
    shared.child.emit('exit', null, 'SIGKILL');
    const stuck = 'its event loop was stuck for 3 s (running cron: CRON cron:1)';
    expect(shared.exits).toEqual({
      cron: [{ cause: `the process that it shares with files ended: ${stuck}`, isBystander: false }],
      files: [{ cause: `the process that it shares with cron ended: ${stuck}`, isBystander: false }],
    });
  });

  test('meet again in one process after their end, whenever each of them starts', () => {
    const shared = new Shared();
    for (const type of ['cron', 'files']) shared.start(type);
    shared.enter();
    shared.child.emit('exit', null, 'SIGSEGV');
    for (const type of ['files', 'cron']) shared.start(type);
    expect(shared.children).toHaveLength(2);
    expect(shared.child.greetings.map(({ type }) => type)).toEqual(['files', 'cron']);
  });

  test('do not start in a process that is being ended', () => {
    const shared = new Shared();
    const cron = shared.start('cron');
    shared.enter();
    cron.condemn('it sent nonsense');
    shared.start('files');
    expect(shared.children).toHaveLength(2);
  });

  test('go on while one of them stops, and the process ends with the last', async () => {
    const shared = new Shared();
    const cron = shared.start('cron');
    const files = shared.start('files');
    const [cronPeer, filesPeer] = shared.enter();
    const stopped = cron.stop(4000);
    expect(cronPeer?.heard).toEqual([expect.stringContaining('[STOP]')]);
    cron.receive(Buffer.from('[STOPPED] [] []'));
    cronPeer?.leave();
    await stopped;
    expect(shared.exits.files).toEqual([]);
    const last = files.stop(4000);
    files.receive(Buffer.from('[STOPPED] [] []'));
    filesPeer?.leave();
    expect(shared.exits.files).toEqual([]);
    shared.child.emit('exit', 0, null);
    vi.useRealTimers();
    await last;
    expect(shared.exits.files).toEqual([{ cause: 'exit code 0', isBystander: false }]);
  });

  test('go on whatever one of them logs: a field of its own tells the host nothing', async () => {
    const shared = new Shared();
    shared.start('cron');
    const files = shared.start('files');
    shared.enter();
    const lines: string[] = [];
    lineLogger((line) => lines.push(line), { seat: 2 }).info(
      { ends: '18:00', seat: 1, $: { ends: 'now' } },
      'a meeting',
    );
    shared.child.stderr.write(lines[0]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(files.tail.map((line) => JSON.parse(line) as unknown)).toEqual([
      { level: 'info', msg: 'a meeting', ends: '18:00', seat: 1 },
    ]);
    shared.start('proxy');
    expect(shared.children).toHaveLength(1);
  });

  test('have lines of their own in the log, and none shows a secret of another', async () => {
    const shared = new Shared();
    const cron = shared.start('cron', [], ['the-secret-of-cron']);
    const files = shared.start('files');
    shared.enter();
    const line = { level: 'warn', $: { seat: 2 }, msg: 'it read the-secret-of-cron' };
    shared.child.stderr.write(`${JSON.stringify(line)}\nof nobody\n`);
    await new Promise((resolve) => setImmediate(resolve));
    expect(files.tail).toEqual(['{"level":"warn","msg":"it read [secret]"}', 'of nobody']);
    expect(cron.tail).toEqual(['of nobody']);
  });
});

test('a process that may not have its niceness is ended before anybody hears of it', async () => {
  let child: ChildProcess | undefined;
  const start = () => {
    const options = {
      ...{ name: 'probe', isShared: false, folder: '/', env: {}, mark: 'test:', notes: os.tmpdir() },
      limits: { niceness: 1000, stuckMs: 3000 },
      log: new TestLog() as never,
      spawn: (() => {
        child = spawn('sleep', ['600'], { detached: true });
        return child;
      }) as unknown as typeof spawn,
    };
    return new PluginProcess(options);
  };
  expect(start).toThrow(/priority/);
  const [, signal] = (await once(child as ChildProcess, 'exit')) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
});

describe('a plugin whose process ends on account of another', () => {
  test('is started again however often that happens, and only the other is quarantined', async () => {
    const world = new World(undefined, { restart: { max: 1, withinMs: 60_000 } });
    await world.start();
    for (let times = 0; times < 5; times++) {
      world.instances.at(-1)?.exit('ended with cron', true);
      await vi.advanceTimersByTimeAsync(200);
      await settle();
    }
    expect(world.host.status()).toMatchObject({ state: 'ready', instances: [{ restarts: 5 }] });
    expect(world.host.exits()).toHaveLength(5);
  });

  test('runs what may run again in the next process, though the ending one said that it was interrupted', async () => {
    const world = new World(undefined, { declared: manifest() });
    await world.start();
    const peer = new TestPeer('alice');
    world.send(peer, 'AGAIN', 'again');
    world.send(peer, 'ONCE', 'once');
    await settle();
    const [first] = world.instances;
    first?.events.ending('cron');
    for (const given of [...(first?.running ?? [])]) first?.say(given, 1, { error: 'INTERRUPTED', message: 'it ends' });
    await settle();
    first?.exit('ended with cron, which shares its process: exit code 1', true);
    await vi.advanceTimersByTimeAsync(200);
    await settle();
    expect(world.given).toEqual(['again', 'once', 'again']);
    expect(JSON.parse(world.disk.endsOf('once')[0]?.data ?? 'null')).toMatchObject({
      error: 'PLUGIN_CRASHED',
      message: expect.stringContaining('ended with cron, which shares its process'),
    });
  });
});
