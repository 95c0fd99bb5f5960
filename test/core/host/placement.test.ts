import { CentreondError } from '@centreond/protocol';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { PluginActions } from '../../../core/dist/host/plugin-actions.js';
import { ALONE } from '../../../core/dist/router/placement.js';
import { Site } from './placement-stage.ts';

afterEach(() => {
  vi.useRealTimers();
});

const done = (site: Site, token: string) => site.world.disk.rows.filter((row) => row.token === token && row.code > 0);

describe('a router by itself', () => {
  test('runs every plugin, wherever it declares to run', async () => {
    const site = new Site();
    site.install('clock', { placement: 'one' });
    site.install('echo');
    Object.assign(site.placement, { compete: ALONE.compete, standIn: ALONE.standIn, pass: ALONE.pass });
    await site.open('clock', 'echo');
    expect(site.running).toEqual([]);
    await site.start();
    expect(site.running.sort()).toEqual(['clock', 'echo']);
    expect(site.loader.plugins.map(({ type }) => type)).toEqual(['clock', 'echo']);
  });

  test('keeps one that fails for good, as it always did', async () => {
    const site = new Site();
    site.starts = 'dead';
    site.install('clock', { placement: 'one' });
    Object.assign(site.placement, { compete: ALONE.compete, standIn: ALONE.standIn, pass: ALONE.pass });
    await site.open('clock');
    await site.start();
    await expect.poll(() => site.state('clock'), { timeout: 5000 }).toBe('quarantined');
  });
});

describe('while it is another router’s turn', () => {
  test('a plugin does not run here, and its requests go to its stand-in', async () => {
    const site = new Site();
    await site.run('clock', false);
    site.send('CLOCK', 'one');
    await expect.poll(() => site.held).toEqual(['one']);
    expect(site.running).toEqual([]);
    expect(site.peer.acks('one')).toEqual(['accepted']);
  });

  test('the status names the router that runs it, where that is known', async () => {
    const site = new Site();
    await site.run('clock', false);
    const status = () => site.world.registry.executorOf('clock')?.status();
    expect(status()).toMatchObject({ type: 'clock', package: 'clock', version: '1.0.0', state: 'standby' });
    expect(status()?.reason).toBe('it runs on the router other');
    site.placement.runsOn = undefined;
    expect(status()?.reason).toBe('it waits for its turn, and which router runs it is not known');
  });

  test('why it does not run is told by WHY too', async () => {
    const site = new Site();
    await site.run('clock', false);
    const actions = new PluginActions({ registry: site.world.registry, loader: site.loader });
    const reason = 'it runs on the router other';
    expect(actions.why({ type: 'clock' })).toEqual({
      type: 'clock',
      state: 'standby',
      reason,
      degraded: [],
      exits: [],
    });
  });

  test('no event of this router is kept for it', async () => {
    const site = new Site();
    site.install('clock', { placement: 'one', listens: [{ event: 'REGISTERNODE', method: 'heard' }] });
    await site.open('clock');
    await site.start();
    const happen = () => site.events.emit('REGISTERNODE', { id: 'paris' } as never);
    happen();
    await site.placement.turn('clock', true);
    expect(site.events.counters).toEqual({ emitted: 1, delivered: 0, dropped: 0 });
    happen();
    expect(site.events.counters.delivered).toBe(1);
  });

  test('a request that is aborted is aborted by the stand-in', async () => {
    const site = new Site();
    await site.run('clock', false);
    site.send('CLOCK', 'one');
    await expect.poll(() => site.held).toEqual(['one']);
    const open = site.placement.held[0];
    open?.started(Date.now(), Date.now() + 1000);
    if (open) site.world.requests.abort(open, new CentreondError('CANCELLED', 'no longer wanted'));
    expect(site.placement.aborted).toEqual(['one']);
  });
});

describe('when the turn comes', () => {
  test('the plugin starts here and takes the place of its stand-in', async () => {
    const site = new Site();
    await site.run('clock', false);
    await site.placement.turn('clock', true);
    expect(site.running).toEqual(['clock']);
    expect(site.state('clock')).toBe('ready');
    site.send('CLOCK', 'one');
    await expect.poll(() => site.given).toEqual(['one']);
    expect(site.held).toEqual([]);
  });

  test('it runs what the stand-in has not handed over, and can still be told to stop', async () => {
    const site = new Site();
    await site.run('clock', false);
    site.send('CLOCK', 'one');
    await expect.poll(() => site.held).toEqual(['one']);
    await site.placement.turn('clock', true);
    await expect.poll(() => site.given).toEqual(['one']);
    const open = site.world.requests.get('one') ?? expect.fail('it is not open');
    site.world.requests.abort(open, new CentreondError('CANCELLED', 'no longer wanted'));
    expect(site.instances.at(-1)?.aborted).toEqual(['one']);
  });

  test('before the plugins are started, it starts with them', async () => {
    const site = new Site();
    site.install('clock', { placement: 'one' });
    await site.open('clock');
    await site.placement.turn('clock', true);
    expect(site.running).toEqual([]);
    await site.start();
    expect(site.running).toEqual(['clock']);
  });

  test('and goes again before the plugin has started, it does not start', async () => {
    const site = new Site();
    await site.run('clock', false);
    const began = site.placement.turn('clock', true);
    await site.placement.turn('clock', false);
    await began;
    expect(site.running).toEqual([]);
    expect(site.state('clock')).toBe('standby');
  });

  test('it starts what its package holds then', async () => {
    const site = new Site();
    await site.run('clock', false);
    site.install('clock', { placement: 'one', action: 'CHIME' });
    await site.placement.turn('clock', true);
    site.send('CHIME', 'one');
    await expect.poll(() => site.given).toEqual(['one']);
  });
});

describe('when the turn is over', () => {
  test('the plugin ends here, its stand-in takes its place, and it starts again with the next turn', async () => {
    const site = new Site();
    await site.run('clock', true);
    expect(site.running).toEqual(['clock']);
    await site.placement.turn('clock', false);
    expect(site.running).toEqual([]);
    expect(site.state('clock')).toBe('standby');
    site.send('CLOCK', 'one');
    await expect.poll(() => site.held).toEqual(['one']);
    await site.placement.turn('clock', true);
    expect(site.running).toEqual(['clock']);
    expect(site.state('clock')).toBe('ready');
  });

  test('what it accepted may finish, and what comes meanwhile goes to the stand-in', async () => {
    const site = new Site();
    await site.run('clock', true);
    site.send('CLOCK', 'one');
    await expect.poll(() => site.given).toEqual(['one']);
    const ended = site.placement.turn('clock', false);
    site.send('CLOCK', 'two');
    await expect.poll(() => site.held).toEqual(['two']);
    const [instance] = site.instances;
    const [given] = instance?.running ?? [];
    if (given) instance?.say(given, 2);
    await ended;
    expect(done(site, 'one')).toMatchObject([{ code: 2 }]);
  });

  test('what does not finish within seconds ends INTERRUPTED', async () => {
    const site = new Site();
    await site.run('clock', true);
    site.send('CLOCK', 'one');
    await expect.poll(() => site.given).toEqual(['one']);
    vi.useFakeTimers();
    const ended = site.placement.turn('clock', false);
    await vi.advanceTimersByTimeAsync(5000);
    await ended;
    expect(site.running).toEqual([]);
    expect(done(site, 'one')).toMatchObject([{ code: 1, data: expect.stringContaining('INTERRUPTED') }]);
  });

  test('it ends at once, although another plugin is being loaded for long', async () => {
    const site = new Site();
    await site.run('clock', true);
    site.install('echo');
    site.starts = 'slowly';
    const loading = site.loader.load({ package: './echo' });
    await expect.poll(() => site.running).toEqual(['clock', 'echo']);
    await site.placement.turn('clock', false);
    expect(site.running).toEqual(['echo']);
    site.instances.at(-1)?.ready();
    await loading;
  });

  test('it ends although it is being reloaded, and the new version does not take over', async () => {
    const site = new Site();
    await site.run('clock', true);
    site.starts = 'slowly';
    const reloaded = site.loader.reload('clock').then(
      () => 'reloaded',
      (error: Error) => error.message,
    );
    await expect.poll(() => site.running).toEqual(['clock', 'clock']);
    await site.placement.turn('clock', false);
    expect(await reloaded).toContain('the plugin is to end here');
    expect(site.running).toEqual([]);
    expect(site.state('clock')).toBe('standby');
  });

  test('it ends although it has not started yet', async () => {
    const site = new Site();
    await site.run('clock', false);
    site.starts = 'slowly';
    const began = site.placement.turn('clock', true);
    await expect.poll(() => site.running).toEqual(['clock']);
    await site.placement.turn('clock', false);
    await began;
    expect(site.running).toEqual([]);
    expect(site.state('clock')).toBe('standby');
  });
});

test('one that shares a process joins the others when its turn comes, and leaves them where they are when it goes', async () => {
  const site = new Site();
  site.isShared = true;
  site.install('clock', { placement: 'one' });
  site.install('echo');
  await site.open('clock', 'echo');
  await site.start();
  expect(site.running).toEqual(['echo']);
  await site.placement.turn('clock', true);
  await expect.poll(() => site.running.sort()).toEqual(['clock', 'echo']);
  expect(site.loader.host('echo')?.sharedWith).toEqual(['clock']);
  const started = site.instances.length;
  await site.placement.turn('clock', false);
  expect(site.running).toEqual(['echo']);
  expect(site.instances).toHaveLength(started);
  expect(site.loader.host('echo')?.sharedWith).toEqual([]);
});

describe('a plugin that fails although it is its turn here', () => {
  test('is started again as on a router by itself', async () => {
    const site = new Site();
    await site.run('clock', false);
    site.starts = 'dead';
    await site.placement.turn('clock', true);
    site.starts = 'ready';
    await expect.poll(() => site.state('clock'), { timeout: 5000 }).toBe('ready');
    expect(site.placement.passed).toEqual([]);
  });

  test('passes the turn once it fails for good, later each time', async () => {
    vi.useFakeTimers();
    const site = new Site();
    await site.run('clock', false);
    site.starts = 'dead';
    const { turn } = { turn: (isMine: boolean) => site.placement.turn('clock', isMine) };
    const failsFor = async (ms: number) => {
      await turn(true);
      while (site.state('clock') !== 'quarantined') await vi.advanceTimersByTimeAsync(10);
      const before = site.placement.passed.length;
      await vi.advanceTimersByTimeAsync(ms - 100);
      expect(site.placement.passed).toHaveLength(before);
      await vi.advanceTimersByTimeAsync(200);
      expect(site.placement.passed).toHaveLength(before + 1);
      await turn(false);
    };
    await failsFor(1000);
    await failsFor(2000);
    await failsFor(4000);
  });

  test('keeps the turn if an operator brings it back before that', async () => {
    vi.useFakeTimers();
    const site = new Site();
    await site.run('clock', false);
    site.starts = 'dead';
    await site.placement.turn('clock', true);
    while (site.state('clock') !== 'quarantined') await vi.advanceTimersByTimeAsync(10);
    site.starts = 'ready';
    await site.loader.host('clock')?.kill('', () => {});
    await vi.advanceTimersByTimeAsync(5000);
    expect(site.placement.passed).toEqual([]);
  });
});

describe('an operator', () => {
  test('loads one, which stands by until its turn', async () => {
    const site = new Site();
    await site.open();
    await site.start();
    site.install('clock', { placement: 'one' });
    const standby = 'it runs on the router other';
    expect(await site.loader.load({ package: './clock' })).toEqual({ type: 'clock', actions: ['CLOCK'], standby });
    expect(site.state('clock')).toBe('standby');
    await site.placement.turn('clock', true);
    expect(site.running).toEqual(['clock']);
  });

  test('loads one whose turn it is and that does not start: nothing of it stays', async () => {
    const site = new Site();
    await site.open();
    await site.start();
    site.install('clock', { placement: 'one' });
    site.placement.atOnce = true;
    site.starts = 'dead';
    await expect(site.loader.load({ package: './clock' })).rejects.toMatchObject({ code: 'PLUGIN_NOT_STARTED' });
    expect(site.placement.competing.size).toBe(0);
    expect(site.state('clock')).toBeUndefined();
  });

  test('unloads one: another router has its turn once it has ended here', async () => {
    const site = new Site();
    await site.run('clock', true);
    let running: string[] | undefined;
    site.placement.withdrew = () => {
      running = site.running;
    };
    await site.loader.unload('clock');
    expect(running).toEqual([]);
    expect(site.state('clock')).toBeUndefined();
  });

  test('unloads one that stands by', async () => {
    const site = new Site();
    await site.run('clock', false);
    await site.loader.unload('clock');
    expect(site.placement.competing.size).toBe(0);
    expect(site.state('clock')).toBeUndefined();
    await expect(site.loader.unload('clock')).rejects.toMatchObject({ code: 'UNKNOWN_TYPE' });
  });

  test('unloads one that takes long to finish, and its turn goes: it is gone within seconds', async () => {
    const site = new Site();
    await site.run('clock', true);
    site.send('CLOCK', 'one');
    await expect.poll(() => site.given).toEqual(['one']);
    vi.useFakeTimers();
    const unloaded = site.loader.unload('clock');
    await vi.advanceTimersByTimeAsync(100);
    void site.placement.turn('clock', false);
    await vi.advanceTimersByTimeAsync(5000);
    expect(site.running).toEqual([]);
    expect(site.state('clock')).toBeUndefined();
    await vi.advanceTimersByTimeAsync(30_000);
    await unloaded;
  });

  test('reloads one that runs, and one that stands by', async () => {
    const site = new Site();
    await site.run('clock', true);
    site.install('clock', { placement: 'one', action: 'CHIME' });
    expect(await site.loader.reload('clock')).toMatchObject({ type: 'clock', actions: ['CHIME'] });
    expect(site.running).toEqual(['clock']);
    await site.placement.turn('clock', false);
    site.install('clock', { placement: 'one', action: 'STRIKE' });
    expect(await site.loader.reload('clock')).toMatchObject({ type: 'clock', actions: ['STRIKE'] });
    site.send('STRIKE', 'one');
    await expect.poll(() => site.held).toEqual(['one']);
    await site.placement.turn('clock', true);
    await expect.poll(() => site.given).toEqual(['one']);
  });

  test('what a stand-in holds survives a reload of it', async () => {
    const site = new Site();
    await site.run('clock', false);
    site.send('CLOCK', 'one');
    await expect.poll(() => site.held).toEqual(['one']);
    await site.loader.reload('clock');
    expect(site.held).toEqual(['one']);
    await site.placement.turn('clock', true);
    await expect.poll(() => site.given).toEqual(['one']);
  });

  test('reloads one that now runs on one router at a time: it goes on only if it is its turn', async () => {
    const site = new Site();
    site.install('clock');
    await site.open('clock');
    await site.start();
    site.install('clock', { placement: 'one' });
    await site.loader.reload('clock');
    await expect.poll(() => site.running).toEqual([]);
    expect(site.state('clock')).toBe('standby');
    await site.placement.turn('clock', true);
    expect(site.running).toEqual(['clock']);
  });

  test('reloads one that now runs on each router: it runs here', async () => {
    const site = new Site();
    await site.run('clock', false);
    site.install('clock');
    await site.loader.reload('clock');
    expect(site.running).toEqual(['clock']);
    expect(site.placement.competing.size).toBe(0);
  });

  test('adds, keeps and drops one by the config', async () => {
    const site = new Site();
    await site.open();
    await site.start();
    site.install('clock', { placement: 'one' });
    expect(await site.loader.apply(await site.config('clock'))).toEqual(['loaded ./clock']);
    expect(site.state('clock')).toBe('standby');
    expect(await site.loader.apply(await site.config('clock'))).toEqual([]);
    expect(await site.loader.apply(await site.config())).toEqual(['unloaded ./clock']);
    expect(site.placement.competing.size).toBe(0);
  });

  test('stops the daemon: every turn is free for another router once the plugins have ended', async () => {
    const site = new Site();
    await site.run('clock', true);
    site.install('bell', { placement: 'one' });
    await site.loader.load({ package: './bell' });
    const withdrew: { type: string; running: string[] }[] = [];
    site.placement.withdrew = (type) => withdrew.push({ type, running: site.running });
    const { competing } = site.placement;
    const late = competing.get('bell');
    await site.loader.stop(2000);
    expect(withdrew).toEqual([
      { type: 'clock', running: [] },
      { type: 'bell', running: [] },
    ]);
    await late?.(true);
    expect(site.running).toEqual([]);
  });
});
