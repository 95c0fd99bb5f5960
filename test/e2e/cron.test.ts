import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

interface Shown {
  id: string;
  nextRun: string | null;
  lastRun: { token: string; outcome: string; error: string | null } | null;
  running: string[];
  counts: Record<string, number>;
}

let ledger: string;
const daemon = new DaemonProcess();
const who = { alice: daemon.client('alice'), root: daemon.client('root', ['admin']) };
let alice: Client;
let root: Client;

beforeAll(async () => {
  ledger = path.join(daemon.folder, 'ledger');
  daemon.settings.plugins = [
    { package: path.join(ROOT, 'plugins/action') },
    { package: path.join(ROOT, 'test/fixtures/probe') },
    {
      package: path.join(ROOT, 'plugins/cron'),
      restart: { max: 100, within: '1s' },
      config: {
        definitions: [
          // Each run writes the second that it is for.
          {
            id: 'tick',
            schedule: '* * * * * *',
            action: 'COMMAND',
            data: { command: ['sh', '-c', `date +%s >> ${ledger}`] },
          },
          { id: 'slow', schedule: '* * * * * *', action: 'SLEEP', data: { ms: 1700 } },
          { id: 'forbidden', schedule: '* * * * * *', action: 'LOCKED', missed: 'skip' },
          { id: 'unknown', schedule: '* * * * * *', action: 'NOSUCH' },
        ],
      },
    },
  ];
  await daemon.start();
  [alice, root] = await Promise.all([connect(daemon.door(who.alice)), connect(daemon.door(who.root))]);
});
afterAll(async () => {
  await alice?.close();
  await root?.close();
  await daemon.dispose();
});

async function shown(id: string): Promise<Shown> {
  const { ok, data } = await root.call('GETCRON', { id });
  if (!ok) throw new Error(JSON.stringify(data));
  const [one] = (data as unknown as { definitions: Shown[] }).definitions;
  if (!one) throw new Error('an empty answer');
  return one;
}
const lines = (file: string) => readFileSync(file, 'utf8').trim().split('\n').length;

/** The runs of a definition, from the history: each token with its rows. */
async function runsOf(id: string): Promise<Map<string, HistoryRow[]>> {
  const rows = await root.query({ id: 0, limit: 10_000 });
  const runs = new Map<string, HistoryRow[]>();
  for (const row of rows) {
    if (row.token.startsWith(`cron:${id}:`)) runs.set(row.token, [...(runs.get(row.token) ?? []), row]);
  }
  return runs;
}

test('the command line lists them with their next runs and the outcomes of the last', async () => {
  await until('one was refused', async () => (await shown('unknown')).lastRun?.outcome === 'refused');
  const { code, stdout } = await daemon.cli('cron', 'list');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ID +SCHEDULE +ZONE +ACTION +TARGET +NEXT [+-]\d\d:\d\d +LAST +DUE\n/);
  expect(stdout).toMatch(/^unknown +\* \* \* \* \* \* +\S+ +NOSUCH +- +\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? +refused/m);
  expect(stdout).toMatch(/^unknown: UNKNOWN_ACTION; centreond log cron:unknown:/m);
  const lines = (await daemon.cli('--json', 'cron', 'list')).stdout.trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as Shown).id).toSorted()).toEqual([
    'forbidden',
    'slow',
    'tick',
    'unknown',
  ]);
  const other = await daemon.cli('cron', 'list', '--type', 'cron-eu');
  expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/UNKNOWN_ACTION.*CRON_EU_GETCRON/)]);
});

test('definitions of the config fire by themselves, each run under its own token', async () => {
  await until('it ran three times', async () => ((await shown('tick')).counts.finished ?? 0) >= 3);
  const { lastRun, nextRun } = await shown('tick');
  expect(lastRun?.token).toMatch(/^cron:tick:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(Date.parse(nextRun ?? '')).toBeGreaterThan(Date.now() - 2000);
  for (const rows of (await runsOf('tick')).values()) expect([0, 110]).toContain(rows[0]?.code);
  expect(lines(ledger)).toBeGreaterThanOrEqual(3);
});

test('a run that has not ended holds off the next, which is in the history', async () => {
  await until('some were skipped', async () => ((await shown('slow')).counts.skipped ?? 0) >= 2);
  const codes = [...(await runsOf('slow')).values()].map((rows) => rows.map(({ code }) => code));
  expect(codes).toContainEqual([110]);
  for (const one of codes) expect([[110], [0], [0, 2]]).toContainEqual(one);
});

test('a run that is refused is in the history, and says why', async () => {
  for (const [id, error] of [
    ['forbidden', 'FORBIDDEN'],
    ['unknown', 'UNKNOWN_ACTION'],
  ] as const) {
    // The next run may be on its way at any moment.
    let lastRun: object | null | undefined;
    await until(`${id} is refused`, async () => {
      const { counts, lastRun: last } = await shown(id);
      lastRun = last;
      return (counts.refused ?? 0) > 0 && last?.outcome === 'refused';
    });
    expect(lastRun).toMatchObject({ outcome: 'refused', error });
  }
  const [rows] = (await runsOf('forbidden')).values();
  expect(rows).toMatchObject([{ code: 112, data: { id: 'forbidden', error: 'FORBIDDEN', attempts: 1 } }]);
});

test('only an admin sees and changes definitions', async () => {
  for (const action of ['GETCRON', 'ADDCRON', 'UPDATECRON', 'DELETECRON']) {
    await expect(alice.send(action, {})).rejects.toMatchObject({ code: 'FORBIDDEN' });
  }
  const listed = await daemon.cli('call', 'GETCRON', 'id=tick', '--json');
  expect(listed.code).toBe(0);
  expect(JSON.parse(listed.stdout)).toMatchObject({ data: { definitions: [{ id: 'tick', source: 'config' }] } });
});

test('what is added at run time outlives a crash, a reload and the daemon, and no run is run twice', async () => {
  const own = path.join(daemon.folder, 'own');
  const data = { command: ['sh', '-c', `echo run >> ${own}`] };
  await root.call('ADDCRON', { id: 'own', schedule: '* * * * * *', action: 'COMMAND', data, missed: 'all' });
  const grows = async (what: string) => {
    const before = (await shown('own')).counts.finished ?? 0;
    await until(what, async () => ((await shown('own')).counts.finished ?? 0) > before + 1, 15_000);
  };
  await grows('it fires');
  const { data: information } = await root.send('INFORMATION', {});
  const { plugins } = information as unknown as { plugins: { type: string; instances: { pid: number }[] }[] };
  process.kill(plugins.find(({ type }) => type === 'cron')?.instances[0]?.pid ?? Number.NaN, 'SIGKILL');
  await grows('it fires after a crash');
  expect(await root.call('RELOADPLUGIN', { type: 'cron' })).toMatchObject({ ok: true });
  await grows('it fires after a reload');
  await daemon.end('SIGKILL');
  await daemon.start();
  await grows('it fires after the daemon was killed');
  expect(await root.call('DELETECRON', { id: 'own' })).toMatchObject({ data: { deleted: true } });
  await expect(shown('own')).rejects.toThrow(/there is no definition own/);
  const accepted = async () =>
    [...(await runsOf('own')).values()].filter((rows) => rows.some(({ code }) => code === 0));
  await until('all have ended', async () => (await accepted()).every((rows) => (rows.at(-1)?.code ?? 0) > 0));
  // One run a token; a command that the kill of the daemon cut off may or may not have come to its line.
  const finished = (await accepted()).filter((rows) => rows.at(-1)?.code === 2).length;
  const written = lines(own);
  expect(written).toBeGreaterThanOrEqual(finished);
  expect(written).toBeLessThanOrEqual((await accepted()).length);
});
