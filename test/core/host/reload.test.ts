import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PluginVersion } from '../../../core/dist/host/plugin-host.js';
import { replace } from '../../../core/dist/host/replacement.js';
import { manifest, settle, TestPeer, World } from '../router/world.ts';
import { FakeInstance } from './fake-instance.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A version of the world's plugin whose processes end before they are ready. */
function broken(world: World): PluginVersion {
  const sound = world.version(manifest());
  return {
    ...sound,
    version: '2',
    generation: {
      ...sound.generation,
      launch: (options, events) => {
        const instance = new FakeInstance(options, events);
        queueMicrotask(() => instance.exit('exit code 1'));
        return instance;
      },
    },
  };
}

async function reloaded(world: World): Promise<Error> {
  const switched = () => {
    throw new Error('nothing may be switched');
  };
  const over = world.replace(broken(world), switched).then(
    () => new Error('it was replaced'),
    (error: Error) => error,
  );
  await vi.advanceTimersByTimeAsync(100);
  return over;
}

describe('a reload whose new version does not start', () => {
  test('says that the version before keeps serving, which it does', async () => {
    const world = new World();
    await world.start();
    expect((await reloaded(world)).message).toMatch(
      /version 2 did not start \(exit code 1\); version 1, .* keeps serving/,
    );
    world.send(new TestPeer('alice'), 'ONCE', 'one');
    await settle();
    expect(world.given).toEqual(['one']);
  });

  test('of a quarantined plugin says that nothing serves', async () => {
    const world = new World(undefined, { restart: { max: 0, withinMs: 60_000 } });
    await world.start();
    world.instances[0]?.exit('it fell over');
    const { message } = await reloaded(world);
    expect(message).not.toContain('keeps serving');
    expect(message).toMatch(/version 1, .* still quarantined, so nothing serves its actions \(.*it fell over\)/);
  });

  test('is not said to start again, and does not', async () => {
    const world = new World();
    await world.start();
    const before = world.log.lines.length;
    await reloaded(world);
    await vi.advanceTimersByTimeAsync(60_000);
    const lines = world.log.lines.slice(before);
    expect(lines).toEqual([
      expect.stringMatching(/^error: the new version of the plugin work did not start \(exit code 1\)/),
    ]);
  });

  test('is among the exits that why shows, as what a reload tried', async () => {
    const world = new World();
    await world.start();
    await reloaded(world);
    expect(world.host.exits()).toEqual([
      expect.objectContaining({ instance: '1', version: '2', tried: true, cause: 'exit code 1' }),
    ]);
  });
});

test('what a reload put into service is started again when it ends later', async () => {
  const world = new World();
  await world.start();
  const replaced = world.replace({ ...world.version(manifest()), version: '2' }, () => {});
  await vi.advanceTimersByTimeAsync(100);
  await replaced;
  world.instances.at(-1)?.exit('it fell over');
  await vi.advanceTimersByTimeAsync(1000);
  expect(world.instances).toHaveLength(3);
  expect(world.host.exits()[0]).toMatchObject({ version: '2', cause: 'it fell over' });
  expect(world.host.exits()[0]).not.toHaveProperty('tried');
});

describe('a reload of plugins that share a process', () => {
  const replacements = (worlds: readonly World[], next: (world: World) => PluginVersion, calls: string[]) =>
    worlds.map((world, i) => ({
      host: world.host,
      next: next(world),
      switched: () => {
        if (i === 1 && calls.includes('refuse')) throw new Error('its action is taken');
        calls.push(`switched ${i}`);
      },
      switchedBack: () => calls.push(`back ${i}`),
    }));

  test('replaces none of them if one does not start', async () => {
    const worlds = [new World(), new World()];
    for (const world of worlds) await world.start();
    const [first] = worlds;
    const calls: string[] = [];
    const next = (world: World) => (world === first ? { ...world.version(manifest()), version: '2' } : broken(world));
    const over = replace(replacements(worlds, next, calls), () => calls.push('all'));
    const refused = expect(over).rejects.toMatchObject({ code: 'INVALID_PLUGIN' });
    await vi.advanceTimersByTimeAsync(100);
    await refused;
    expect(calls).toEqual([]);
    expect(worlds.map((world) => world.host.status())).toMatchObject([
      { version: '1', state: 'ready' },
      { version: '1', state: 'ready' },
    ]);
    expect(first?.instances.map(({ gone }) => gone)).toEqual([false, true]);
  });

  test('replaces none of them if the actions of one cannot be made known', async () => {
    const worlds = [new World(), new World()];
    for (const world of worlds) await world.start();
    const calls = ['refuse'];
    const next = (world: World) => ({ ...world.version(manifest()), version: '2' });
    const over = replace(replacements(worlds, next, calls), () => calls.push('all'));
    const refused = expect(over).rejects.toThrow(/its action is taken; version 1, .* keeps serving/);
    await vi.advanceTimersByTimeAsync(100);
    await refused;
    expect(calls).toEqual(['refuse', 'switched 0', 'back 0']);
    expect(worlds.map((world) => world.host.status())).toMatchObject([{ version: '1' }, { version: '1' }]);
  });
});
