import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import type { JsonObject } from '@centreond/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Kept, SAMPLES, SampleDaemon } from '../samples/sample.ts';

const versions = readdirSync(SAMPLES).filter((name) => existsSync(path.join(SAMPLES, name, 'history.sql')));

test('there is a sample of each version that was released', () => {
  expect(versions).toContain('0.1.0');
});

describe.each(versions)('what centreond %s wrote', (version) => {
  const daemon = new SampleDaemon(version);
  const before = JSON.parse(readFileSync(path.join(SAMPLES, version, 'kept.json'), 'utf8')) as Kept;
  let client: Client;
  let now: Kept;
  const ended = (token: string) => now.requests.find((request) => request.token === token);

  beforeAll(async () => {
    const checked = await daemon.cli('check', '--json');
    expect({ code: checked.code, stderr: checked.stderr }).toEqual({ code: 0, stderr: '' });
    await daemon.start();
    client = await connect({ address: daemon.socket });
    now = await daemon.kept();
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
  });

  test('its config is taken, with all of its plugins', async () => {
    const { plugins } = (await client.send('INFORMATION')).data as unknown as { plugins: JsonObject[] };
    expect(plugins.map(({ type }) => type).sort()).toEqual(['action', 'core', 'cron', 'shell']);
    expect(daemon.ready?.id).toBe('central');
  });

  test('its keys count: of the router, of those that were let in, and of those that were shut out', () => {
    expect(now.fingerprint).toBe(before.fingerprint);
    expect(now.keys).toEqual(before.keys);
    expect(before.keys.map(({ state }) => state).sort()).toEqual([
      ...['accepted', 'accepted', 'accepted'],
      ...['config', 'config', 'revoked'],
    ]);
  });

  test('its rows are there, each as it was', () => {
    expect(before.rows.length).toBeGreaterThan(15);
    expect(now.rows).toEqual(expect.arrayContaining(before.rows));
    expect(now.rows.slice(0, before.rows.length)).toEqual(before.rows);
  });

  test('its requests are there, and repeats of them are known', async () => {
    const settled = before.requests.filter(({ token }) => token !== 'open');
    expect(settled.length).toBeGreaterThan(8);
    expect(now.requests).toEqual(expect.arrayContaining(settled));
    const again = await client.send('COMMAND', { command: 'echo one' }, { token: 'finished' });
    expect(again.data).toMatchObject({ duplicate: true });
  });

  test('what was open ends, and what was held is held on', async () => {
    expect(ended('open')).toMatchObject({ code: 1, error: 'OUTCOME_UNKNOWN' });
    expect(ended('held')).toMatchObject({ code: null, endedAt: null });
    await client.send('CANCEL', { token: 'held' });
    await expect
      .poll(async () => (await client.query({ token: 'held' })).at(-1)?.data)
      .toMatchObject({ error: 'CANCELLED' });
  });

  test('what its plugins kept is there', () => {
    expect(now.schedules.map(({ id, enabled, schedule }) => ({ id, enabled, schedule }))).toEqual(
      before.schedules.map(({ id, enabled, schedule }) => ({ id, enabled, schedule })),
    );
    expect(before.schedules.map(({ id }) => id)).toEqual(['nightly', 'off']);
  });

  test('the logs of its nodes go on where they were', async () => {
    expect(now.cursors).toEqual(before.cursors);
    const row = {
      id: 5,
      token: 'of-paris',
      type: 'COMMAND',
      node: 'paris',
      code: 2,
      etime: 1_790_000_000,
      data: { n: 1 },
    };
    const answer = await client.send('SETLOGS', { epoch: 'e-of-paris', rows: [row], last: 5 }, { target: 'paris' });
    expect(answer.data).toMatchObject({ stored: 0, known: 1 });
  });
});
