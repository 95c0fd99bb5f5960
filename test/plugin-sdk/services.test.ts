import { LinkTransport, lineLogger, servicesOver } from '@centreond/plugin-runtime';
import type { CarriedRequest } from '@centreond/plugin-sdk/nodes';
import { CentreondError, type JsonObject, parseMessage, parseReply } from '@centreond/protocol';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';

interface Sent {
  action: string;
  token: string;
  target: string;
  data: JsonObject;
}

/** The core's end of the link: what was asked, and how to answer it. */
class TestCore {
  readonly sent: Sent[] = [];
  readonly logged: string[] = [];
  readonly transport = new LinkTransport({
    wire: { send: (message) => this.#take(message) },
    maxMessage: 10_000,
    log: lineLogger((line) => this.logged.push(line)),
    plugin: { type: 'weather', events: { RAIN: z.strictObject({ mm: z.number().min(0) }) } },
  });
  readonly services = servicesOver(
    this.transport,
    lineLogger((line) => this.logged.push(line)),
  );
  answer: (sent: Sent) => JsonObject | Error | undefined = () => ({});

  #take(message: string): void {
    const { action, token, target, data } = parseMessage(message);
    const sent = { action, token, target, data: JSON.parse(data || '{}') as JsonObject };
    this.sent.push(sent);
    if (action === 'CARRIED') return;
    const answer = this.answer(sent);
    if (answer instanceof CentreondError)
      this.tell(`[ACK] [${token}] ${JSON.stringify({ code: 1, data: answer.toData() })}`);
    else if (answer) this.tell(`[ACK] [${token}] ${JSON.stringify({ code: 0, data: answer })}`);
  }

  tell(message: string): void {
    this.transport.receive(parseReply(message));
  }
  of(action: string): Sent[] {
    return this.sent.filter((sent) => sent.action === action);
  }
}

let core: TestCore;
beforeEach(() => {
  core = new TestCore();
});

const row = (id: number, code: number) => ({
  id,
  token: 't',
  type: 'X',
  node: 'n',
  code,
  etime: 1,
  ctime: 1,
  data: id,
});

describe('a transport', () => {
  test('matches answers by token, and rejects with the refusal', async () => {
    core.answer = ({ data }) => (data.n === 1 ? { one: 1 } : undefined);
    const [first, second] = [
      core.transport.send('A', { n: 1 }),
      core.transport.send('A', { n: 2 }, { target: 'paris' }),
    ];
    expect(await first).toMatchObject({ data: { one: 1 } });
    const [, { token, target }] = core.sent as [Sent, Sent];
    expect(target).toBe('paris');
    core.tell(`[ACK] [${token}] {"code":1,"data":{"error":"NODE_UNREACHABLE","message":"it does not answer"}}`);
    await expect(second).rejects.toMatchObject({ code: 'NODE_UNREACHABLE', message: 'it does not answer' });
  });

  test('puts the envelope around DATA only where there is one', async () => {
    await core.transport.send('A', { n: 1 });
    await core.transport.send('A', { n: 1 }, { hold: true, deadline: 5 });
    expect(core.sent.map(({ data }) => data)).toEqual([{ n: 1 }, { n: 1, $: { hold: true, deadline: 5 } }]);
  });

  test('refuses what is too large and a token that is under way, and gives up after 30 s', async () => {
    await expect(core.transport.send('A', { x: 'x'.repeat(10_000) })).rejects.toMatchObject({ code: 'TOO_LARGE' });
    const many = { x: Array.from({ length: 50_000 }, () => 1) };
    await expect(core.transport.send('A', many)).rejects.toMatchObject({ code: 'INVALID_DATA' });
    vi.useFakeTimers();
    core.answer = () => undefined;
    const waiting = core.transport.send('A', {}, { token: 't' });
    await expect(core.transport.send('B', {}, { token: 't' })).rejects.toMatchObject({ code: 'TOKEN_REUSED' });
    const over = expect(waiting).rejects.toMatchObject({ code: 'NOT_ACKNOWLEDGED' });
    await vi.advanceTimersByTimeAsync(30_000);
    await over;
    vi.useRealTimers();
  });

  test('follows a call to its end, gives up when told, and lets a late row pass', async () => {
    const rows: number[] = [];
    const call = core.transport.call('A', {}, { token: 't', onRow: ({ id }) => rows.push(id) });
    for (const one of [row(1, 0), row(2, 50), row(2, 50), row(3, 2)]) core.tell(`[LOG] [t] ${JSON.stringify(one)}`);
    expect(await call).toMatchObject({ ok: true, data: 3 });
    expect(rows).toEqual([1, 2, 3]);
    core.tell(`[LOG] [t] ${JSON.stringify(row(4, 2))}`);
    const stop = new AbortController();
    const stopped = core.transport.call('A', {}, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(stopped).rejects.toThrow('enough');
    await expect(core.transport.call('A', {}, { signal: stop.signal })).rejects.toThrow('enough');
  });

  test('emits what the plugin declared, checked by its own schema first', async () => {
    await core.transport.emit('RAIN', { mm: 3 });
    expect(core.of('EMIT')).toMatchObject([{ data: { event: 'RAIN', data: { mm: 3 } } }]);
    await expect(core.transport.emit('RAIN', { mm: -1 })).rejects.toMatchObject({ code: 'INVALID_EVENT' });
    await expect(core.transport.emit('SNOW', {})).rejects.toMatchObject({ code: 'INVALID_EVENT' });
    expect(core.of('EMIT').length).toBe(1);
  });
});

describe('a token store', () => {
  test('reads page after page, as many rows as were asked for', async () => {
    core.answer = ({ data }) => {
      const from = Number(data.id ?? 0);
      const count = Math.min(Number(data.limit), 400);
      return { result: Array.from({ length: count }, (_, i) => row(from + i + 1, 0)), more: true } as never;
    };
    expect((await core.services.tokens.query({ token: 't', limit: 900 })).map(({ id }) => id)).toEqual(
      Array.from({ length: 900 }, (_, i) => i + 1),
    );
    expect(core.of('GETLOG').map(({ data }) => data.limit)).toEqual([900, 500, 100]);
  });
});

describe('a state', () => {
  test('lists over pages', async () => {
    const all = ['a1', 'a2', 'a3'];
    core.answer = ({ data }) => {
      const [key] = all.filter((one) => one > String(data.after));
      return { entries: [{ key, value: 1 }], more: key !== 'a3' } as never;
    };
    expect((await core.services.state?.list('a'))?.map(({ key }) => key)).toEqual(all);
  });
});

describe('carrying', () => {
  const up = (id: string) => ({ id, state: 'up' as const });
  let number = 0;
  const carry = (token: string) =>
    core.tell(
      `[CARRY] [${++number}] [paris] {"action":"DONE","token":"${token}","data":{"n":1},"envelope":{"from":"alice","hops":["central"]}}`,
    );
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  test('tells the core what changed, and nothing else', () => {
    const deliver = async (request: CarriedRequest) => ({ token: request.token, data: {} });
    core.transport.carry([up('paris'), up('lyon')], deliver);
    core.transport.carry([up('paris'), { id: 'nice', state: 'connecting' }], deliver);
    core.transport.carry([up('paris'), { id: 'nice', state: 'connecting' }], deliver);
    expect(core.of('ANNOUNCE').map(({ data }) => data)).toEqual([
      { nodes: [up('paris'), up('lyon')], gone: [] },
      { nodes: [{ id: 'nice', state: 'connecting' }], gone: ['lyon'] },
    ]);
    expect(() => core.transport.carry([up('..')], deliver)).toThrow(/cannot be a node's id/);
  });

  test('hands requests to the latest deliver(), and its answer back', async () => {
    const taken: CarriedRequest[] = [];
    const old = core.transport.carry([up('paris')], async () => Promise.reject(new Error('never')));
    const carrying = core.transport.carry([up('paris')], async (request) => {
      taken.push(request);
      if (request.token === 'no') throw new CentreondError('FORBIDDEN', 'no');
      if (request.token === 'bug') throw new Error('a bug');
      return { token: request.token, data: { duplicate: true } };
    });
    old[Symbol.dispose]();
    for (const token of ['yes', 'no', 'bug']) carry(token);
    await turn();
    expect(taken[0]).toEqual({
      action: 'DONE',
      token: 'yes',
      target: 'paris',
      data: { n: 1 },
      envelope: { from: 'alice', hops: ['central'] },
    });
    expect(core.of('CARRIED')).toMatchObject([
      { token: '1', data: { code: 0, data: { duplicate: true } } },
      { token: '2', data: { code: 1, data: { error: 'FORBIDDEN', message: 'no' } } },
      { token: '3', data: { code: 1, data: { error: 'ACTION_FAILED', message: 'a bug' } } },
    ]);
    expect(core.logged.join()).toContain('a bug');
    carrying[Symbol.dispose]();
    expect(core.of('ANNOUNCE').at(-1)?.data).toEqual({ nodes: [{ id: 'paris', state: 'unreachable' }], gone: [] });
    carry('late');
    await turn();
    expect(core.of('CARRIED').at(-1)).toMatchObject({ data: { code: 1, data: { error: 'NODE_UNREACHABLE' } } });
  });

  test('tells again what the core did not take', async () => {
    core.answer = () => new CentreondError('BUSY', 'later');
    const deliver = async (request: CarriedRequest) => ({ token: request.token, data: {} });
    core.transport.carry([up('paris')], deliver);
    await turn();
    core.answer = () => ({});
    core.transport.carry([up('paris')], deliver);
    expect(core.of('ANNOUNCE').length).toBe(2);
    expect(core.logged.join()).toContain('did not take');
  });
});
