import 'reflect-metadata';
import path from 'node:path';
import { FakeClock, FakeLink, startHost, testPlugin } from '@centreond/plugin-kit';
import {
  Action,
  type ActionContext,
  CLOCK,
  type Clock,
  INSTANCE,
  type Instance,
  inject,
  Kill,
  On,
  Plugin,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import type { Link } from '@centreond/plugin-sdk/nodes';
import { failure, type NodeRegistered } from '@centreond/protocol';
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { ROOT } from './temp-package.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const Nothing = z.strictObject({});
const Anything = z.looseObject({});
const Relay = z.strictObject({ action: z.string(), data: Anything, target: z.string().exactOptional() });
const Named = z.strictObject({ org: z.int() });

@Plugin({ type: 'stage', title: 'Uses the router', events: { SAID: z.strictObject({ word: z.string() }) } })
class StagePlugin {
  readonly heard: string[] = [];
  readonly runs: string[] = [];
  link: Link | undefined;

  constructor(
    @inject(TRANSPORT) readonly transport: Transport,
    @inject(INSTANCE) readonly instance: Instance,
    @inject(CLOCK) readonly clock: Clock,
  ) {}

  @Action('COUNT', { title: 'Count a run', input: Anything, output: Nothing })
  count(_: z.output<typeof Anything>, { token }: ActionContext): z.input<typeof Nothing> {
    this.runs.push(token);
    return {};
  }

  @Action('SAY', { title: 'Emit an event', input: Nothing, output: Anything })
  async say(): Promise<z.input<typeof Anything>> {
    await this.transport.emit('SAID', { word: 'hello' });
    return { heard: this.heard };
  }

  @On('SAID') said({ word }: { word: string }): void {
    this.heard.push(word);
  }
  @On('REGISTERNODE') registered({ id, actions }: NodeRegistered): void {
    this.heard.push(`+${id} ${actions.join()}`);
  }
  @On('UNREGISTERNODE') unregistered({ id }: { id: string }): void {
    this.heard.push(`-${id}`);
  }

  @Action('RELAY', { title: 'Call another action', input: Relay, output: Anything })
  async relay({ action, data, target }: z.output<typeof Relay>): Promise<z.input<typeof Anything>> {
    const { ok, data: told } = await this.transport.call(action, data, target === undefined ? {} : { target });
    return { ok, told };
  }

  @Action('WAIT', { title: 'Wait until aborted', input: Nothing, output: Nothing })
  wait(_: z.output<typeof Nothing>, { signal }: ActionContext): Promise<z.input<typeof Nothing>> {
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }

  @Action('AGAIN', {
    title: 'Wait in the first instance, end in the next',
    input: Nothing,
    output: Nothing,
    idempotent: true,
    inFlight: 'requeue',
  })
  async again(_: z.output<typeof Nothing>, { signal }: ActionContext): Promise<z.input<typeof Nothing>> {
    if (StagePlugin.waits-- <= 0) return {};
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }
  static waits = 0;
  static doesNotStart = false;

  start(): void {
    if (StagePlugin.doesNotStart) throw new Error('no start');
  }

  @Action('CONNECT', { title: 'Open a link', input: Nothing, output: Nothing })
  connect(): z.input<typeof Nothing> {
    this.link = this.transport.link({
      address: 'tcp://lyon:5555',
      fingerprint: 'x',
      onState: (state) => this.heard.push(state),
    });
    return {};
  }

  @Kill({ graceSeconds: 1 }) release(): void {}
}

@Plugin({ type: 'keyed', title: 'One for each organisation', instances: { key: 'org', start: 'on-demand' } })
class KeyedPlugin {
  heard = 0;
  counted = 0;
  constructor(@inject(INSTANCE) readonly instance: Instance) {}

  @Action('ORG', { title: 'Say which instance answers', input: Named, output: Anything })
  org(): z.input<typeof Anything> {
    return { ...this.instance };
  }
  @On('REGISTERNODE') hears(): void {
    this.heard++;
  }
  @On('UNREGISTERNODE', { in: 'one' }) counts(): void {
    this.counted++;
  }
}

describe('the router of the kit', () => {
  test('answers a repeat with the first outcome and runs nothing again; other DATA is refused', async () => {
    await using stage = await testPlugin(StagePlugin);
    const first = await stage.call('COUNT', { a: 1, b: 2 }, { token: 'one' });
    expect(await stage.call('COUNT', { b: 2, a: 1 }, { token: 'one' })).toEqual(first);
    expect(stage.plugin.runs).toEqual(['one']);
    await expect(stage.call('COUNT', { a: 2 }, { token: 'one' })).rejects.toMatchObject({ code: 'TOKEN_REUSED' });
    await expect(stage.call('COUNT', { a: 1, b: 2 }, { token: 'one', identity: 'bob' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    await expect(stage.call('COUNT', {}, { token: 'stage:1' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('tells the plugin of its own events', async () => {
    await using stage = await testPlugin(StagePlugin);
    expect((await stage.call('SAY', {})).data).toEqual({ heard: ['hello'] });
    expect(stage.emitted).toEqual([{ event: 'SAID', data: { word: 'hello' } }]);
  });

  test('starts an instance again that a request for KILL has ended', async () => {
    StagePlugin.waits = 1;
    await using stage = await testPlugin(StagePlugin);
    const before = stage.plugin;
    const waiting = stage.call('WAIT', {});
    const again = stage.call('AGAIN', {});
    await expect.poll(() => StagePlugin.waits).toBe(0);
    const killed = await stage.call('KILL', { type: 'stage' });
    expect(killed.rows.map(({ code, data }) => [code, data])).toEqual([
      [0, { owner: '@local', target: '' }],
      [0, { step: 'instance 1: released by the plugin within 1 s' }],
      [0, { step: 'instance 1: SIGTERM' }],
      [2, { type: 'stage', ended: ['1'] }],
    ]);
    expect(await waiting).toMatchObject({ data: { error: 'PLUGIN_KILLED' } });
    expect(await again).toMatchObject({ ok: true });
    expect(stage.plugin).not.toBe(before);
    await expect(stage.call('KILL', { type: 'stage', id: '2' })).rejects.toMatchObject({ code: 'UNKNOWN_INSTANCE' });
  });

  test('keeps tokens, history and state over a restart and a crash', async () => {
    const clock = new FakeClock();
    await using stage = await testPlugin(StagePlugin, { clock });
    await stage.call('COUNT', {}, { token: 'one' });
    const waiting = stage.call('WAIT', {}, { token: 'two' });
    const before = stage.plugin;
    let rang = false;
    before.clock.after(1000, () => {
      rang = true;
    });
    stage.crash();
    expect(await waiting).toMatchObject({ data: { error: 'PLUGIN_CRASHED' } });
    await expect(stage.call('COUNT', {})).rejects.toMatchObject({ code: 'NOT_READY' });
    await clock.advance(2000);
    expect(rang, 'a timer of a dead process').toBe(false);
    await stage.restart();
    await stage.restart();
    expect(stage.plugin).not.toBe(before);
    expect((await stage.call('COUNT', {}, { token: 'one' })).rows).toHaveLength(2);
    expect(stage.plugin.runs).toEqual([]);
    expect(await stage.call('COUNT', {}, { token: 'three' })).toMatchObject({ ok: true });
  });

  test('starts the plugin beside itself, as a reload does: what is new goes to the new one, what runs ends with the old one', async () => {
    await using stage = await testPlugin(StagePlugin);
    const before = stage.plugin;
    const waiting = stage.call('WAIT', {}, { token: 'old' });
    const finish = await stage.reload();
    expect(stage.plugin).not.toBe(before);
    expect(stage.instances).toEqual(['1']);
    await stage.call('COUNT', {}, { token: 'new' });
    await stage.emit('REGISTERNODE', { id: 'lyon', actions: [] });
    expect([before.runs, before.heard]).toEqual([[], []]);
    expect([stage.plugin.runs, stage.plugin.heard]).toEqual([['new'], ['+lyon ']]);
    stage.abort('old');
    await finish();
    expect(await waiting).toMatchObject({ data: { error: 'CANCELLED' } });
    expect(stage.router.open).toEqual([]);
    // Both are at work until then, at one router: what the old one asks for under a used token is a repeat.
    const again = await stage.reload();
    await stage.plugin.transport.send('COUNT', {}, { token: 'stage:once' });
    await again();
    await stage.restart();
    expect(await stage.plugin.transport.send('COUNT', {}, { token: 'stage:once' })).toMatchObject({
      data: { duplicate: true },
    });
  });

  test('keeps the plugin that there is if its successor does not start', async () => {
    await using stage = await testPlugin(StagePlugin);
    const before = stage.plugin;
    StagePlugin.doesNotStart = true;
    await expect(stage.reload()).rejects.toThrow('no start');
    StagePlugin.doesNotStart = false;
    expect(stage.plugin).toBe(before);
    expect(await stage.call('COUNT', {})).toMatchObject({ ok: true });
  });

  test('holds up what the plugin asks for, until it is released or the plugin is dead', async () => {
    await using stage = await testPlugin(StagePlugin, { transport: { OTHER: () => ({}) } });
    const held = stage.faults.hold('OTHER');
    let sent = false;
    const sending = stage.plugin.transport.send('OTHER', {}, { token: 'held' }).then(() => {
      sent = true;
    });
    await stage.call('COUNT', {});
    await expect.poll(() => held.waiting).toBe(1);
    expect(sent).toBe(false);
    held.release();
    await sending;
    await expect.poll(() => stage.rows.filter(({ token }) => token === 'held').length).toBe(2);
    const again = stage.faults.hold('OTHER');
    void stage.plugin.transport.send('OTHER', {}, { token: 'never' }).catch(() => {});
    await expect.poll(() => again.waiting).toBe(1);
    stage.crash();
    again.release();
    await stage.restart();
    await stage.call('COUNT', {});
    expect(stage.rows.filter(({ token }) => token === 'never')).toEqual([]);
  });

  test('lets the plugin die at its nth request, of which it hears no more', async () => {
    await using stage = await testPlugin(StagePlugin, { transport: { OTHER: () => ({}) } });
    stage.faults.crashAfterRequests('OTHER', 2);
    const { transport } = stage.plugin;
    await transport.send('OTHER', {}, { token: 'first' });
    let heard = false;
    void transport.send('OTHER', {}, { token: 'second' }).finally(() => {
      heard = true;
    });
    await expect.poll(() => stage.router.gone?.message).toContain('crashed');
    await expect.poll(() => stage.rows.filter(({ token }) => token === 'second').length).toBe(2);
    expect(heard).toBe(false);
  });

  test('lets nothing settle of what a plugin that died was waiting for', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      await using stage = await testPlugin(StagePlugin, { transport: { OTHER: () => ({}) } });
      const held = stage.faults.hold('OTHER');
      const settled = vi.fn();
      void stage.plugin.transport.send('OTHER', {}, { token: 'left' }).then(settled, settled);
      await vi.advanceTimersByTimeAsync(10);
      expect(held.waiting).toBe(1);
      stage.crash();
      await vi.advanceTimersByTimeAsync(60_000);
      expect(settled).not.toHaveBeenCalled();
    } finally {
      vi.useRealTimers();
    }
  });

  test('counts the timers that a stop leaves behind', async () => {
    const clock = new FakeClock();
    await using stage = await testPlugin(StagePlugin, { clock });
    await stage.stop();
    expect(stage.timersLeft).toBe(0);
    await stage.restart();
    stage.plugin.clock.after(1000, () => {});
    await stage.stop();
    expect(stage.timersLeft).toBe(1);
    expect(clock.timers, 'they end with the process').toBe(0);
  });

  test('links nodes, answers for them and tells the plugin', async () => {
    await using stage = await testPlugin(StagePlugin);
    const relay = async (target: string, action = 'COMMAND') =>
      (await stage.call('RELAY', { action, data: { x: 1 }, target })).data as { cause?: { error: string } };
    expect((await relay('lyon', 'COUNT')).cause?.error).toBe('UNKNOWN_TARGET');
    await stage.router.nodes.register('lyon', { COMMAND: (data, { target }) => ({ ...data, target }) });
    expect(await relay('lyon')).toEqual({ ok: true, told: { x: 1, target: 'lyon' } });
    expect(await relay('lyon', 'COUNT')).toMatchObject({ error: 'NODE_LACKS_ACTION' });
    expect(stage.rows.filter(({ type }) => type === 'COMMAND').map(({ node }) => node)).toEqual(['test', 'lyon']);
    await stage.router.nodes.unregister('lyon');
    expect((await relay('lyon', 'COUNT')).cause?.error).toBe('UNKNOWN_TARGET');
    expect(stage.plugin.heard).toEqual(['+lyon COMMAND', '-lyon']);
  });

  test('refuses in the ACK what the test refuses, and gives an answer its signal and rows', async () => {
    let busy = true;
    const refuse = () => (busy ? failure('BUSY', { what: 'the shop', limit: 1 }) : undefined);
    await using stage = await testPlugin(StagePlugin, {
      transport: {
        BUY: {
          refuse,
          answer: (_, { signal, progress }) => {
            progress(20, { asked: true });
            return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
          },
        },
      },
    });
    await expect(stage.call('BUY', {})).rejects.toMatchObject({ code: 'BUSY' });
    busy = false;
    const bought = stage.call('BUY', {}, { token: 'buy' });
    await expect.poll(() => stage.rows.map(({ code }) => code)).toEqual([0, 20]);
    stage.abort('buy');
    expect(await bought).toMatchObject({ data: { error: 'CANCELLED' } });
  });

  test('refuses more open requests of one identity than it may have', async () => {
    await using stage = await testPlugin(StagePlugin, { maxRequests: 1 });
    stage.send('WAIT', {}, { identity: 'alice' });
    expect(() => stage.send('WAIT', {}, { identity: 'alice' })).toThrow(
      'the list of open requests of alice is full (1)',
    );
    stage.send('WAIT', {}, { identity: 'bob' });
  });

  test('ends what waits at its deadline, and says that it never started', async () => {
    const clock = new FakeClock();
    await using stage = await testPlugin(StagePlugin, { clock });
    const { concurrency = 0 } = stage.manifest.actions.find(({ name }) => name === 'WAIT') ?? {};
    for (let i = 0; i < concurrency; i++) stage.send('WAIT', {});
    const late = stage.call('WAIT', {}, { deadline: clock.now() / 1000 + 5 });
    await clock.advance(5000);
    expect(await late).toMatchObject({
      data: {
        message:
          'WAIT waited 5 s and never started. Send it again with a later deadline, or once what it waits for is there.',
      },
    });
  });

  test('speaks the messages of the protocol with a peer', async () => {
    await using stage = await testPlugin(StagePlugin);
    const heard: string[] = [];
    const send = stage.router.connect({ identity: 'alice', roles: ['client'] }, (message) => heard.push(message));
    send('[COUNT] [one] [] {}');
    send('[COUNT] [one] [] {}');
    send('nonsense');
    send('[PING] [two] []');
    expect(heard).toEqual([
      '[ACK] [one] {"code":0,"data":{}}',
      '[ACK] [one] {"code":0,"data":{"duplicate":true}}',
      expect.stringContaining('[ACK] [] {"code":1,"data":{"error":"MALFORMED_FRAME"'),
      expect.stringContaining('[PONG] [two] [] {"code":0'),
    ]);
  });

  test('gives the plugin the links that the test makes', async () => {
    const links: FakeLink[] = [];
    const link = (options: FakeLink['options']) => {
      const made = new FakeLink(options, 'lyon');
      links.push(made);
      return made;
    };
    await using stage = await testPlugin(StagePlugin, { link });
    await stage.call('CONNECT', {});
    const [lyon] = links;
    if (!lyon) throw new Error('no link');
    lyon.become('up');
    lyon.answers.INFORMATION = () => ({ version: '1' });
    expect(stage.plugin.heard).toEqual(['up']);
    expect(await stage.plugin.link?.send('INFORMATION', {})).toEqual({ token: 't', data: { version: '1' } });
    await expect(stage.plugin.link?.send('NONE', {})).rejects.toMatchObject({ code: 'UNKNOWN_ACTION' });
  });
});

describe('a keyed plugin', () => {
  test('has an instance for each key, which knows its id and hears each event, or one of them does', async () => {
    await using keyed = await testPlugin(KeyedPlugin, { keys: ['7'] });
    expect(keyed.plugin.instance).toEqual({ id: '7', of: 1, type: 'keyed' });
    expect((await keyed.call('org', { org: 7 })).data).toEqual({ id: '7', of: 1, type: 'keyed' });
    expect((await keyed.call('org', { org: 8 })).data).toEqual({ id: '8', of: 1, type: 'keyed' });
    await keyed.emit('REGISTERNODE', { id: 'lyon' });
    expect(keyed.instances.map((id) => keyed.instance(id).heard)).toEqual([1, 1]);
    await keyed.emit('UNREGISTERNODE', { id: 'lyon' });
    expect(keyed.instances.map((id) => keyed.instance(id).counted)).toEqual([1, 0]);
  });

  test('has no instance before its first request', async () => {
    await using keyed = await testPlugin(KeyedPlugin);
    expect(() => keyed.plugin).toThrow('name its key in the option keys');
    expect((await keyed.call('org', { org: 1 })).data).toEqual({ id: '1', of: 1, type: 'keyed' });
    expect(keyed.plugin.instance.id).toBe('1');
  });
});

test('a process that a request for KILL has ended is started again', async () => {
  await using host = await startHost(PROBE);
  const before = host.pid;
  const sleeping = host.call('SLEEP', { ms: 60_000 });
  expect(await host.call('KILL', { type: 'probe' })).toMatchObject({ ok: true, data: { ended: ['1'] } });
  expect(await sleeping).toMatchObject({ data: { error: 'PLUGIN_KILLED' } });
  expect(await host.call('ECHO', { a: 1 })).toMatchObject({ ok: true });
  expect(host.pid).not.toBe(before);
});
