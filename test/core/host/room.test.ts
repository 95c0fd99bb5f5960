import { expect, test } from 'vitest';
import { action, manifest, settle, TestPeer, World } from '../router/world.ts';

test('an admin runs a request at once while one client has filled the plugin and has a hundred more waiting', async () => {
  const world = new World(undefined, { declared: manifest({ actions: [action('ONCE', { concurrency: 16 })] }) });
  await world.start();
  const mallory = new TestPeer('mallory');
  const admin = new TestPeer('operator', 'admin');
  for (let i = 0; i < 115; i++) world.send(mallory, 'ONCE', `m${i}`);
  await settle();
  expect(world.given).toHaveLength(15);
  for (const token of ['a1', 'a2']) world.send(admin, 'ONCE', token);
  await settle();
  expect(world.given.slice(15)).toEqual(['a1']);
  const [first] = world.running;
  if (first) first.instance.say(first.given, 2);
  await settle();
  // What ends makes room for the admin first.
  expect(world.given.slice(16)).toEqual(['a2']);
});
