import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PluginVersion } from '../../../core/dist/host/plugin-host.js';
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
  const over = world.host.replace(broken(world), switched).then(
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
  const replaced = world.host.replace({ ...world.version(manifest()), version: '2' }, () => {});
  await vi.advanceTimersByTimeAsync(100);
  await replaced;
  world.instances.at(-1)?.exit('it fell over');
  await vi.advanceTimersByTimeAsync(1000);
  expect(world.instances).toHaveLength(3);
  expect(world.host.exits()[0]).toMatchObject({ version: '2', cause: 'it fell over' });
  expect(world.host.exits()[0]).not.toHaveProperty('tried');
});
