import 'reflect-metadata';
import { setTimeout as wait } from 'node:timers/promises';
import { FakeClock, testPlugin } from '@centreond/plugin-kit';
import {
  Action,
  type ActionContext,
  CONFIG,
  inject,
  Kill,
  LOGGER,
  type Logger,
  On,
  Plugin,
  STATE,
  type State,
  TOKEN_STORE,
  type TokenStore,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import { failure, type HistoryRow, type NodeRegistered } from '@centreond/protocol';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

const Config = z.strictObject({ unit: z.enum(['C', 'F']).default('C') });
const City = z.strictObject({
  city: z.string().refine((city) => city !== 'Atlantis', 'is under water'),
  days: z.int().min(1).max(9).default(1),
});
const Weather = z.strictObject({ city: z.string(), degrees: z.number(), unit: z.string() });
const Anything = z.looseObject({});
const Nothing = z.strictObject({});

@Plugin({
  type: 'weather',
  title: 'Weather of a city',
  config: Config,
  codes: { LOOKING: 120 },
  events: { SEEN: z.strictObject({ city: z.string() }) },
})
class WeatherPlugin {
  readonly heard: string[] = [];
  released: string | undefined;
  stopped = false;
  carrying: Disposable | undefined;

  constructor(
    @inject(CONFIG, Config) readonly config: z.output<typeof Config>,
    @inject(TOKEN_STORE) readonly tokens: TokenStore,
    @inject(TRANSPORT) readonly transport: Transport,
    @inject(STATE) readonly state: State,
    @inject(LOGGER) readonly log: Logger,
  ) {}

  async start(): Promise<void> {
    await this.state.set('started', true);
    this.log.info({ unit: this.config.unit }, 'started');
  }

  stop(): void {
    this.stopped = true;
  }

  @Action('WEATHER', { title: 'Ask for the weather', input: City, output: Weather, effects: 'read' })
  async weather({ city }: z.output<typeof City>, context: ActionContext<120>): Promise<z.input<typeof Weather>> {
    await context.progress(120, { message: `looking at ${city}` });
    return { city, degrees: 20, unit: this.config.unit };
  }

  @Action('WAIT', { title: 'Wait until aborted', input: Nothing, output: Nothing, timeoutSeconds: 30, concurrency: 1 })
  async wait(_: z.output<typeof Nothing>, { signal }: ActionContext): Promise<z.input<typeof Nothing>> {
    await wait(60_000, undefined, { signal });
    return {};
  }

  @Action('DEAF', { title: 'Never end', input: Nothing, output: Nothing, timeoutSeconds: 5 })
  deaf(): Promise<z.input<typeof Nothing>> {
    return new Promise(() => {});
  }

  @Action('TRY', { title: 'Use a service', input: Anything, output: Anything, access: 'admin' })
  async try(input: z.output<typeof Anything>, context: ActionContext<120>): Promise<z.input<typeof Anything>> {
    const { what, ...rest } = input;
    if (what === 'deadline') return { deadline: context.deadline };
    if (what === 'throw') throw new Error('out of order');
    if (what === 'code') await context.progress(Number(rest.code) as 120, {});
    if (what === 'late') setTimeout(() => void context.progress(120, {}), 1);
    if (what === 'append') await this.tokens.append([{ token: context.token, data: {}, code: 120, ...rest } as never]);
    if (what === 'emit') await this.transport.emit(String(rest.event ?? 'SEEN'), { city: 'Paris' });
    if (what === 'carry') {
      this.carrying = this.transport.carry(
        [{ id: 'paris-1', state: 'up' }],
        async ({ action, token, data, envelope }) => {
          if (action === 'FAIL') throw failure('NODE_LACKS_ACTION', { target: 'paris-1', action, have: [] });
          return { token, data: { said: data, from: envelope.from } };
        },
      );
    }
    if (what === 'drop') this.carrying?.[Symbol.dispose]();
    if (what === 'query') return { rows: (await this.tokens.query({ token: context.token })).length };
    if (what === 'call') {
      const outcome = await this.transport.call(String(rest.action), rest.data as object, { timeoutMs: 1000 });
      return { ok: outcome.ok, data: outcome.data };
    }
    if (what === 'follow') {
      const rows: number[] = [];
      const { signal } = new AbortController();
      for await (const row of this.tokens.follow(String(rest.token), { signal })) rows.push(row.code);
      return { rows };
    }
    return {};
  }

  @On('REGISTERNODE') registered({ id }: NodeRegistered): void {
    this.heard.push(id);
  }
  @On('REGISTERNODE') fails(): void {
    throw new Error('a listener that fails');
  }

  @Kill({ graceSeconds: 1 }) release({ id }: { id: string }): void {
    this.released = id;
  }
}

describe('a plugin run in process', () => {
  test('answers with every row of its token, and typed by method', async () => {
    await using weather = await testPlugin(WeatherPlugin, { config: { unit: 'F' } });
    const outcome = await weather.call('weather', { city: 'Paris' }, { token: 'one' });
    expect(outcome).toMatchObject({ token: 'one', ok: true, code: 2 });
    expect(outcome.data.degrees satisfies number).toBe(20);
    expect(outcome.data.unit).toBe('F');
    expect(outcome.rows.map(({ code, data }) => [code, data])).toEqual([
      [0, { owner: '@local', target: '' }],
      [120, { message: 'looking at Paris' }],
      [2, { city: 'Paris', degrees: 20, unit: 'F' }],
    ]);
    expect(weather.rows.map(({ type, id }) => [type, id])).toEqual([1, 2, 3].map((id) => ['WEATHER', id]));
    expect(weather.log).toEqual([{ level: 'info', msg: 'started', unit: 'F' }]);
  });

  test('is refused what the router refuses', async () => {
    await using weather = await testPlugin(WeatherPlugin);
    await weather.call('WEATHER', { city: 'Paris' }, { token: 'one', identity: 'alice' });
    const refused = (...args: Parameters<typeof weather.call>) =>
      weather.call(...args).then(
        () => 'taken',
        (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
      );
    expect(await refused('WETHER', {})).toContain('UNKNOWN_ACTION');
    expect(await refused('WEATHER', { city: 'Paris', day: 1 })).toContain(
      "INVALID_DATA: WEATHER does not take this DATA: it must not have the key 'day'",
    );
    expect(await refused('WEATHER', { city: 'Paris', days: 10 })).toContain('days must be <= 9');
    expect(await refused('TRY', {}, { identity: 'alice' })).toContain('FORBIDDEN: alice may not call TRY');
    expect(await refused('TRY', {}, { identity: 'alice', roles: ['admin'] })).toBe('taken');
    expect(await refused('WEATHER', { city: 'Rome' }, { token: 'one', identity: 'alice' })).toContain('TOKEN_REUSED');
    expect(await refused('WEATHER', { city: 'Rome' }, { token: 'one', identity: 'bob' })).toContain('FORBIDDEN');
    expect(await refused('WAIT', {}, { timeoutMs: 10 })).toContain('WAIT_OVER');
  });

  test('ends a request with what its own schema, its code and the runtime say', async () => {
    await using weather = await testPlugin(WeatherPlugin);
    const said = async (...args: Parameters<typeof weather.call>) => (await weather.call(...args)).data;
    expect(await said('WEATHER', { city: 'Atlantis' })).toMatchObject({
      error: 'INVALID_DATA',
      message: expect.stringContaining('city: is under water'),
    });
    expect(await said('TRY', { what: 'throw' })).toEqual({ error: 'ACTION_FAILED', message: 'out of order' });
    expect(await said('TRY', { what: 'code', code: 121 })).toEqual({
      error: 'INVALID_OUTPUT',
      message:
        "TRY cannot write this row: the code 121 is not declared; progress() takes 0 and the plugin's codes (120). The plugin's author has to fix it.",
    });
    expect(await said('TRY', { what: 'code', code: 2 })).toEqual({
      error: 'INVALID_OUTPUT',
      message:
        "TRY cannot write this row: the code 2 is the router's own; progress() takes 0 and the plugin's codes (120). The plugin's author has to fix it.",
    });
    expect(await said('WEATHER', { city: 3 }, { unchecked: true })).toMatchObject({ error: 'INVALID_DATA' });
  });

  test('shows the rows that it writes after the end', async () => {
    await using weather = await testPlugin(WeatherPlugin);
    const { token, rows } = await weather.call('TRY', { what: 'late' });
    await expect.poll(() => weather.lateRows).toEqual([{ token, action: 'TRY', code: 120 }]);
    expect(weather.rows).toHaveLength(rows.length);
  });

  test('writes history only as it may', async () => {
    await using weather = await testPlugin(WeatherPlugin);
    await weather.call('WEATHER', { city: 'Paris' }, { token: 'anothers', identity: 'alice' });
    const append = async (row: object) =>
      (await weather.call('TRY', { what: 'append', ...row })) as { ok: boolean; data: object };
    expect(await append({})).toMatchObject({ ok: true });
    expect(await append({ token: 'own' })).toMatchObject({ ok: true });
    expect(await append({ token: 'anothers' })).toMatchObject({
      data: { error: 'CALL_REFUSED', cause: { error: 'FORBIDDEN' } },
    });
    expect(await append({ code: 2 })).toMatchObject({ data: { cause: { error: 'INVALID_DATA' } } });
    // As the router: what a plugin's codes are is for its types to say.
    expect(await append({ code: 99 })).toMatchObject({ ok: true });
    expect((await weather.call('TRY', { what: 'query' })).data).toEqual({ rows: 1 });
    expect((await weather.call('TRY', { what: 'follow', token: 'anothers' })).data).toEqual({ rows: [0, 120, 2] });
  });

  test('keeps state, emits and hears events', async () => {
    await using weather = await testPlugin(WeatherPlugin, { state: { kept: [1] } });
    expect(await weather.plugin.state.list('')).toEqual([
      { key: 'kept', value: [1] },
      { key: 'started', value: true },
    ]);
    await weather.plugin.state.delete('kept');
    expect(Object.fromEntries(weather.state)).toEqual({ started: true });
    await weather.call('TRY', { what: 'emit' });
    expect(weather.emitted).toEqual([{ event: 'SEEN', data: { city: 'Paris' } }]);
    const undeclared = await weather.call('TRY', { what: 'emit', event: 'HEARD-OF' });
    expect(undeclared.data).toMatchObject({ error: 'INVALID_EVENT' });
    await weather.emit('REGISTERNODE', { id: 'paris-1', version: '1', actions: [], nodes: [] });
    expect(weather.plugin.heard).toEqual(['paris-1']);
    expect(weather.log.at(-1)).toMatchObject({ level: 'error', err: { message: 'a listener that fails' } });
  });

  test('is the way to the nodes that it carries', async () => {
    await using weather = await testPlugin(WeatherPlugin);
    await weather.call('TRY', { what: 'carry' });
    expect([...weather.carried.values()]).toEqual([{ id: 'paris-1', state: 'up' }]);
    expect(await weather.carry('paris-1', 'WEATHER', { city: 'Paris' }, { token: 'one', from: 'alice' })).toEqual({
      token: 'one',
      data: { said: { city: 'Paris' }, from: 'alice' },
    });
    await expect(weather.carry('paris-1', 'FAIL', {})).rejects.toMatchObject({ code: 'NODE_LACKS_ACTION' });
    await weather.call('TRY', { what: 'drop' });
    await expect(weather.carry('paris-1', 'WEATHER', {})).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  });

  test('calls other actions, which the test answers, and its own', async () => {
    const asked: unknown[] = [];
    await using weather = await testPlugin(WeatherPlugin, {
      transport: {
        COMMAND: (data, { action, target }) => {
          asked.push([action, target, data]);
          return { exitCode: 0 };
        },
        FAIL: () => {
          throw failure('COMMAND_NOT_STARTED', { program: 'x', reason: 'it is not there' });
        },
      },
    });
    const call = async (action: string, data: object = {}) =>
      (await weather.call('TRY', { what: 'call', action, data })).data;
    expect(await call('COMMAND', { command: 'ls' })).toEqual({ ok: true, data: { exitCode: 0 } });
    expect(asked).toEqual([['COMMAND', '', { command: 'ls' }]]);
    expect(await call('FAIL')).toMatchObject({ ok: false, data: { error: 'COMMAND_NOT_STARTED' } });
    expect(await call('WEATHER', { city: 'Rome' })).toMatchObject({ ok: true, data: { city: 'Rome' } });
    expect(await call('NONE')).toMatchObject({
      error: 'CALL_REFUSED',
      message: expect.stringMatching(/own call of NONE was refused \(UNKNOWN_ACTION\): .*/),
      cause: { error: 'UNKNOWN_ACTION' },
    });
    expect(
      weather.rows.filter(({ code }) => code === 0).map(({ data }) => (data as { owner: string }).owner),
    ).toContain('@weather');
  });

  test('is told its deadline in the unit of a call’s own: whole seconds', async () => {
    const clock = new FakeClock();
    await using weather = await testPlugin(WeatherPlugin, { clock });
    const admin = { identity: 'root', roles: ['admin'] } as const;
    const seconds = clock.now() / 1000;
    const told = async (deadline?: number) =>
      (await weather.call('TRY', { what: 'deadline' }, { ...admin, ...(deadline !== undefined && { deadline }) })).data;
    expect(await told()).toEqual({ deadline: Math.ceil(seconds + 60) });
    expect(await told(Math.ceil(seconds) + 7)).toEqual({ deadline: Math.ceil(seconds) + 7 });
    expect(await told(Math.ceil(seconds) + 7)).not.toEqual(await told(Math.ceil(seconds) + 8));
  });

  test('is stopped at its time limit, and at the deadline of the request, by the test’s clock', async () => {
    const clock = new FakeClock();
    await using weather = await testPlugin(WeatherPlugin, { clock });
    const started = clock.now();
    const first = weather.call('WAIT', {}, { token: 'first' });
    await clock.advance(29_999);
    expect(weather.router.open).toEqual(['first']);
    await clock.advance(1);
    expect(await first).toMatchObject({
      ok: false,
      data: { error: 'TIMEOUT', message: expect.stringContaining('30 s') },
    });
    expect((await first).rows.map(({ etime }) => etime - started / 1000)).toEqual([0, 30]);
    const second = weather.call('WAIT', {}, { deadline: started / 1000 + 31 });
    await clock.advance(1000);
    expect(await second).toMatchObject({ data: { error: 'TIMEOUT', message: expect.stringContaining('1 s') } });
  });

  test('that ignores the abort has its request ended by the router after a grace', async () => {
    const clock = new FakeClock();
    await using weather = await testPlugin(WeatherPlugin, { clock });
    const outcome = weather.call('DEAF', {}, { token: 'deaf' });
    await new Promise(setImmediate); // it has begun: what is aborted before that does not begin
    await clock.advance(5000);
    expect(weather.router.abandoned).toEqual([]);
    await clock.advance(6000);
    expect(weather.router.abandoned).toEqual(['deaf']);
    expect(await outcome).toMatchObject({ data: { error: 'TIMEOUT' } });
  });

  test('runs no more at once than it declares', async () => {
    await using weather = await testPlugin(WeatherPlugin);
    const rows: HistoryRow[] = [];
    const first = weather.call('WAIT', {}, { token: 'first' });
    const second = weather.call('WAIT', {}, { token: 'second', onRow: (row) => rows.push(row) });
    expect(weather.abort('second')).toBe(true);
    expect(await second).toMatchObject({ data: { error: 'CANCELLED' } });
    expect(rows.map(({ code }) => code)).toEqual([0, 1]);
    expect(weather.abort('first')).toBe(true);
    expect(await first).toMatchObject({ data: { error: 'CANCELLED' } });
    expect(weather.abort('first')).toBe(false);
  });

  test('waits with its rows for a disk that takes none', async () => {
    await using weather = await testPlugin(WeatherPlugin);
    const disk = weather.faults.holdRows();
    const asked = weather.call('weather', { city: 'Paris' });
    await expect.poll(() => disk.waiting).toBe(1);
    expect(weather.rows.map(({ code }) => code)).toEqual([0]);
    disk.release();
    expect((await asked).rows.map(({ code }) => code)).toEqual([0, 120, 2]);
    expect((await weather.call('weather', { city: 'Lyon' })).ok).toBe(true);
  });

  test('dies at its nth write of the state, which is kept and not acknowledged', async () => {
    await using weather = await testPlugin(WeatherPlugin);
    weather.faults.crashAfterWrites(2);
    await weather.plugin.state.set('first', 1);
    let heard = false;
    void weather.plugin.state.delete('first').finally(() => {
      heard = true;
    });
    await expect.poll(() => weather.router.gone?.message).toContain('crashed');
    expect([...weather.state]).toEqual([['started', true]]);
    expect(heard).toBe(false);
    await weather.restart();
    weather.faults.crashAfterWrites(0);
    await expect(weather.call('weather', { city: 'Paris' })).rejects.toMatchObject({ code: 'NOT_READY' });
  });

  test('is killed with its handler, and takes nothing more', async () => {
    const weather = await testPlugin(WeatherPlugin);
    const running = weather.call('WAIT', {});
    const deaf = weather.call('DEAF', {});
    expect(await weather.kill('paris')).toBe(true);
    expect(await running).toMatchObject({ data: { error: 'PLUGIN_KILLED' } });
    expect(await deaf).toMatchObject({ data: { error: 'PLUGIN_KILLED' } });
    expect(weather.plugin.released).toBe('paris');
    await expect(weather.call('WEATHER', { city: 'Paris' })).rejects.toMatchObject({ code: 'NOT_READY' });
  });

  test('is stopped: what runs is interrupted', async () => {
    const weather = await testPlugin(WeatherPlugin);
    const running = weather.call('WAIT', {});
    await weather.stop();
    expect(await running).toMatchObject({ data: { error: 'INTERRUPTED' } });
    expect(weather.plugin.stopped).toBe(true);
  });

  test('does not start with a config that does not hold', async () => {
    await expect(testPlugin(WeatherPlugin, { config: { unit: 'K' } })).rejects.toMatchObject({
      code: 'INVALID_PLUGIN',
    });
    await expect(testPlugin(WeatherPlugin, { config: { unti: 'C' } })).rejects.toThrow("must not have the key 'unti'");
  });
});
