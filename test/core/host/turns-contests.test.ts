import { expect, test } from 'vitest';
import type { OpenRequest } from '../../../core/dist/router/request.js';
import { settle } from '../router/world.ts';
import { Site } from './placement-stage.ts';

/** A router on which a plugin stands by, with stand-ins that tell that what they were given is elsewhere. */
async function standing(): Promise<{ site: Site; given: OpenRequest[] }> {
  const site = new Site();
  const given: OpenRequest[] = [];
  const plain = site.placement.standIn.bind(site.placement);
  const standIn = (): ReturnType<typeof plain> => {
    let elsewhere: true | undefined = true;
    const one = plain();
    return {
      ...one,
      get elsewhere() {
        return elsewhere;
      },
      submit: (open) => {
        given.push(open);
        one.submit(open);
      },
      takeBack: () => {
        elsewhere = undefined;
        return one.takeBack();
      },
    };
  };
  Object.assign(site.placement, { standIn });
  await site.run('clock', false);
  return { site, given };
}

test('a request that waited for its turn finishes here when the daemon stops', async () => {
  const { site } = await standing();
  site.send('CLOCK', 'one');
  await expect.poll(() => site.held).toEqual(['one']);
  await site.placement.turn('clock', true);
  await expect.poll(() => site.given).toEqual(['one']);
  let isDrained = false;
  const drained = site.world.requests.drain(10_000, 1000).then(() => {
    isDrained = true;
  });
  await settle();
  expect(isDrained).toBe(false);
  const instance = site.instances.at(-1);
  const [running] = instance?.running ?? [];
  if (running) instance?.say(running, 2);
  await drained;
  expect(site.world.disk.rows.filter(({ token, code }) => token === 'one' && code === 2)).toHaveLength(1);
});

test('a request that waits for the other router stays open when the daemon stops', async () => {
  const { site } = await standing();
  site.send('CLOCK', 'one');
  await expect.poll(() => site.held).toEqual(['one']);
  await site.world.requests.drain(10_000, 1000);
  expect(site.world.disk.rows.filter(({ token, code }) => token === 'one' && code > 0)).toEqual([]);
});

test('a request of which a stand-in finds late that it is free goes to the stand-in that follows when the turn is over', async () => {
  const { site, given } = await standing();
  site.send('CLOCK', 'one');
  await expect.poll(() => site.held).toEqual(['one']);
  const [open = expect.fail('nothing was given')] = site.placement.held.splice(0);
  await site.placement.turn('clock', true);
  await site.placement.turn('clock', false);
  open.action.executor.submit(open);
  expect(site.held).toEqual(['one']);
  expect(given).toHaveLength(2);
  await site.placement.turn('clock', true);
  await expect.poll(() => site.given).toEqual(['one']);
});
