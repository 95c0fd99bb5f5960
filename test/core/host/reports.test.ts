import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { manifest, settle, World } from '../router/world.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const DEGRADED = '[INSTANCEHEALTH] [degraded] [] {"why":"slow"}';
const OK = '[INSTANCEHEALTH] [ok] [] {}';

async function started(pool = 1): Promise<World> {
  const world = new World(undefined, { declared: manifest({ instances: { pool } }) });
  await world.start();
  return world;
}
const said = (world: World) => world.log.lines.filter((line) => line.includes('degraded') || line.includes('ok again'));

describe('the health of an instance', () => {
  test('is unknown before it reports any, then what it reported, since when', async () => {
    const world = await started();
    expect(world.host.status()).toMatchObject({ health: null, instances: [{ health: null }] });
    const now = Date.now();
    world.instances[0]?.report(DEGRADED);
    const health = { state: 'degraded', why: 'slow', since: now };
    expect(world.host.status()).toMatchObject({
      state: 'ready',
      health: { instance: '1', ...health },
      instances: [{ health }],
    });
    await vi.advanceTimersByTimeAsync(3000);
    world.instances[0]?.report(OK);
    expect(world.host.status()).toMatchObject({ health: { instance: '1', state: 'ok', since: now + 3000 } });
  });

  test('is logged once at each change', async () => {
    const world = await started();
    world.instances[0]?.report(OK);
    for (let i = 0; i < 3; i++) world.instances[0]?.report(DEGRADED);
    world.instances[0]?.report('[INSTANCEHEALTH] [degraded] [] {"why":"slower"}');
    await vi.advanceTimersByTimeAsync(4000);
    for (let i = 0; i < 3; i++) world.instances[0]?.report(OK);
    expect(said(world)).toEqual([
      'warn: plugin work is degraded: slow {"plugin":"work"}',
      'warn: plugin work is still degraded, now: slower {"plugin":"work"}',
      'info: plugin work is ok again, after 4 s {"plugin":"work"}',
    ]);
  });

  test('ends with its process', async () => {
    const world = await started();
    world.instances[0]?.report(DEGRADED);
    world.instances[0]?.exit('it left');
    expect(world.host.status()).toMatchObject({ health: null, instances: [{ health: null }] });
    await vi.advanceTimersByTimeAsync(1000);
    await settle();
    expect(world.instances).toHaveLength(2);
    expect(world.host.status()).toMatchObject({ state: 'ready', health: null });
    // What was still on its way from the old process is nobody's.
    world.instances[0]?.report(DEGRADED);
    expect(world.host.status()).toMatchObject({ health: null });
  });

  test('of a plugin is that of the instance that has been degraded for the longest', async () => {
    const world = await started(3);
    world.instances[0]?.report(OK);
    expect(world.host.status().health).toMatchObject({ instance: '1', state: 'ok' });
    world.instances[2]?.report(DEGRADED);
    await vi.advanceTimersByTimeAsync(1000);
    world.instances[1]?.report(DEGRADED);
    expect(world.host.status().health).toMatchObject({ instance: '3', state: 'degraded', why: 'slow' });
    world.instances[2]?.report(OK);
    expect(world.host.status().health).toMatchObject({ instance: '2', state: 'degraded' });
  });

  test.each([
    ['[INSTANCEHEALTH] [ill] [] {}', 'neither ok nor degraded'],
    ['[INSTANCEHEALTH] [degraded] [] {}', 'neither ok nor degraded'],
    ['[INSTANCEHEALTH] [degraded] [] {"why":7}', 'neither ok nor degraded'],
    ['[INSTANCEHEALTH] [ok] [] {"why":"not at all"}', 'neither ok nor degraded'],
    [`[INSTANCEHEALTH] [degraded] [] {"why":"${'x'.repeat(1025)}"}`, 'exceeds 1024 bytes'],
  ])('that is no health ends the process: %s', async (message, cause) => {
    const world = await started();
    world.instances[0]?.report(message);
    expect(world.instances[0]?.condemnedFor).toContain(cause);
    expect(world.host.exits()[0]?.cause).toContain(cause);
  });

  test('reported without end ends the process, and at the pace of the SDK never', async () => {
    const world = await started(2);
    const [hasty, calm] = world.instances;
    for (let i = 0; i < 2000; i++) hasty?.report(i % 2 === 0 ? DEGRADED : OK);
    expect(hasty?.condemnedFor).toContain('more than 600 reports');
    expect(said(world).length).toBeLessThanOrEqual(600);
    for (let i = 0; i < 1000; i++) {
      await vi.advanceTimersByTimeAsync(5000);
      calm?.report(i % 2 === 0 ? DEGRADED : OK);
      calm?.report(DEGRADED);
    }
    expect(calm?.condemnedFor).toBeUndefined();
  });
});
