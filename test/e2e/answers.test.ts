import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { startHost } from '@centreond/plugin-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const LIMIT_MS = 60_000;
const ORACLE = path.join(ROOT, 'test/fixtures/oracle');

interface Told {
  readonly state: string;
  readonly waiting: number;
  readonly instances: { id: string; pid: number | null; inFlight: number; state: string }[];
}

// Processes start again and again here, which a busy machine takes its time for.
describe('a plugin in processes that answers in the ACK', { timeout: 2 * LIMIT_MS }, () => {
  const daemon = new DaemonProcess({
    core: { limits: { requests: { perIdentity: { count: 1000 } } } },
    plugins: [{ package: ORACLE, startTimeout: '60s', restart: { max: 100, within: '1s' } }],
  });
  let client: Client;
  let admin: Client;
  beforeAll(async () => {
    const root = daemon.client('root', ['admin']);
    const ada = daemon.client('ada');
    await daemon.start();
    admin = await connect(daemon.door(root));
    client = await connect(daemon.door(ada));
  }, LIMIT_MS);
  afterAll(async () => {
    await client?.close();
    await admin?.close();
    await daemon.dispose();
  });

  const ask = (question: object = {}, token?: string) =>
    client.send('ASKSLOWLY', question, token === undefined ? {} : { token });
  const hurry = (question: object) => client.send('ASKORACLE', question);
  const outcome = (asked: Promise<unknown>) =>
    asked.then(
      () => 'answered',
      (error: { code: string }) => error.code,
    );
  const told = async (): Promise<Told> => {
    const { data } = await admin.send('INFORMATION', {});
    return (data.plugins as unknown as (Told & { type: string })[]).find(({ type }) => type === 'oracle') as Told;
  };
  const busy = async () => (await told()).instances.every(({ inFlight }) => inFlight === 2);
  const quiet = () =>
    until(
      'all instances are ready and idle',
      async () => {
        const { instances } = await told();
        return instances.every(({ state, inFlight }) => state === 'ready' && inFlight === 0);
      },
      LIMIT_MS,
    );

  test('is called by the command line, which prints the answer and waits for no row', async () => {
    const { code, stdout } = await daemon.cli('call', 'ASKORACLE');
    expect(stdout).toMatch(/^ASKORACLE \S+ answered\n/);
    expect(code).toBe(0);
  });

  test('says what its method returned, to whom it was asked by, and writes no row', async () => {
    const { data } = await ask({}, 'question-1');
    expect(data).toMatchObject({ identity: 'ada', target: '', token: 'question-1' });
    expect((await admin.send('GETLOG', { token: 'question-1' })).data.result).toEqual([]);
    // Not a request that is kept: the same token asks again.
    expect((await ask({}, 'question-1')).data).not.toHaveProperty('duplicate');
  });

  test('refuses with what its method threw, what its schema refuses, and what is no answer', async () => {
    await expect(ask({ ending: 'refuse' })).rejects.toMatchObject({ code: 'BUSY', message: /^the oracle is full/ });
    await expect(ask({ ending: 'other' })).rejects.toMatchObject({ code: 'INVALID_DATA' });
    await expect(ask({ ending: 'text' })).rejects.toMatchObject({ code: 'INVALID_OUTPUT', message: /an object/ });
    await expect(ask({ ending: 'row' })).rejects.toMatchObject({ code: 'INVALID_OUTPUT', message: /writes no rows/ });
  });

  test('is told which node an action that runs here works on', async () => {
    const { data } = await client.send('ASKHERE', {}, { target: 'central' });
    expect(data).toMatchObject({ target: '' });
    await expect(client.send('ASKHERE', {}, { target: 'nowhere' })).rejects.toMatchObject({ code: 'UNKNOWN_TARGET' });
  });

  test('is asked in every instance within its concurrency; what comes beyond waits its turn', async () => {
    await quiet();
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask({ ms: 100 })));
    expect(new Set(answers.map(({ data }) => data.pid)).size).toBe(2);
  });

  test('is aborted when its time is over, and one that ignores that takes up its room until it is done', async () => {
    await expect(hurry({ ms: 10_000 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    await quiet();
    const deaf = Array.from({ length: 4 }, () => outcome(hurry({ ms: 1500, deaf: true })));
    expect(await Promise.all(deaf)).toEqual(Array(4).fill('TIMEOUT'));
    expect((await told()).instances.map(({ inFlight }) => inFlight)).toEqual([2, 2]);
    expect((await ask()).data).toHaveProperty('pid');
  });

  test('refuses with BUSY what goes beyond the share of the asker, and says whose and how many', async () => {
    const many = Array.from({ length: 1100 }, () => outcome(ask({ ms: 1 })));
    const outcomes = await Promise.all(many);
    expect(outcomes.filter((outcome) => outcome === 'answered').length).toBeGreaterThanOrEqual(1000);
    expect(new Set(outcomes)).toEqual(new Set(['answered', 'BUSY']));
    const refused = await Promise.allSettled(Array.from({ length: 1100 }, () => ask({ ms: 1 })));
    const [busy] = refused.flatMap((each) => (each.status === 'rejected' ? [String(each.reason.message)] : []));
    expect(busy).toMatch(/open requests of ada.*1000/);
  });

  test('an instance that dies refuses what it had to answer; the rest is asked of its successor', async () => {
    await quiet();
    const doomed = Array.from({ length: 4 }, (_, i) => ask({ ms: 300, ending: i < 2 ? 'exit' : 'answer' }));
    const after = ask();
    const outcomes = await Promise.all(doomed.map((each) => outcome(each)));
    expect(outcomes.slice(0, 2)).toEqual(['PLUGIN_CRASHED', 'PLUGIN_CRASHED']);
    expect((await after).data).toHaveProperty('pid');
    await quiet();
  });

  test('KILL refuses what was being answered, and what waited is answered by the successor', async () => {
    const running = Array.from({ length: 4 }, () => outcome(ask({ ms: 15_000 })));
    await until('all are being answered', busy, LIMIT_MS);
    const waiting = ask();
    await admin.call('KILL', { type: 'oracle' });
    expect(await Promise.all(running)).toEqual(Array(4).fill('PLUGIN_KILLED'));
    expect((await waiting).data).toHaveProperty('pid');
    await quiet();
  });

  test('RELOADPLUGIN lets the old version answer what it was asked, and hands on what waits', async () => {
    const before = (await told()).instances.map(({ pid }) => pid);
    const running = Array.from({ length: 4 }, () => ask({ ms: 2500 }));
    await until('all are being answered', busy, LIMIT_MS);
    const waiting = Array.from({ length: 3 }, () => ask());
    expect(await admin.call('RELOADPLUGIN', { type: 'oracle' })).toMatchObject({ ok: true });
    for (const each of await Promise.all(running)) expect(before).toContain(each.data.pid);
    for (const each of await Promise.all(waiting)) expect(each.data).toHaveProperty('pid');
    expect((await told()).instances.some(({ pid }) => before.includes(pid))).toBe(false);
  });
});

test('the test kit asks a plugin in a process what it answers in the ACK', async () => {
  await using host = await startHost(ORACLE);
  expect(await host.ask('ASKORACLE', {}, { token: 'one' })).toMatchObject({ identity: '@local', token: 'one' });
  await host.router.nodes.register('paris', {});
  expect(await host.ask('ASKHERE', {}, { target: 'paris' })).toMatchObject({ target: 'paris' });
  expect(host.rows).toEqual([]);
  await expect(host.ask('ASKORACLE', { ending: 'refuse' })).rejects.toMatchObject({ code: 'BUSY' });
  await expect(host.ask('ASKORACLE', {}, { roles: ['node'] })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(host.call('ASKORACLE', {})).rejects.toMatchObject({ code: 'INVALID_PLUGIN' });
  await expect(host.ask('ASKORACLE', { ms: 2000 })).rejects.toMatchObject({ code: 'TIMEOUT' });
  await expect(host.ask('ASKORACLE', { ending: 'exit' })).rejects.toMatchObject({ code: 'PLUGIN_CRASHED' });
});
