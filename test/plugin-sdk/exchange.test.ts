import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LinkTransport, lineLogger, servicesOver } from '@centreond/plugin-runtime';
import { CentreondError, failure, type Message, newToken, parseReply } from '@centreond/protocol';
import { describe, expect, test, vi } from 'vitest';
import { Exchange } from '../../plugin-sdk/client/dist/exchange.js';

interface Asking {
  token?: string;
  timeoutMs?: number;
  onRow?: (row: { id: number }) => void;
}

/** One end of a line, and the router at the other, which says what a test has it say. */
interface Line {
  /** What came to the router, oldest first. */
  readonly sent: Message[];
  tell(text: string): void;
  send(action: string, data: object, options?: Asking): Promise<object>;
  call(action: string, data: object, options?: Asking): Promise<{ ok: boolean; code: number }>;
  follow(token: string): AsyncIterable<{ id: number }>;
}

function ofClient(): Line {
  const sent: Message[] = [];
  const exchange = new Exchange({
    wire: { isUp: true, maxMessage: 1e6, send: (text) => sent.push(parseReply(text)) },
    whose: 'This client',
    ...{ sendMs: 60_000, callMs: 60_000, maxPending: 1000, maxPendingBytes: 1e6, retryStopping: true },
    refusal: (code, message, details) => new CentreondError(code, message, { details }),
    unsent: () => new Error('no session'),
  });
  return {
    sent,
    tell: (text) => void exchange.receive(parseReply(text)),
    send: (action, data, { token = newToken(), ...options } = {}) => exchange.send(action, data, token, options),
    call: (action, data, options) => exchange.call(action, data, options),
    follow: (token) => exchange.follow(token, 0, undefined),
  };
}

function ofPlugin(): Line {
  const sent: Message[] = [];
  const log = lineLogger(() => {});
  const wire = { send: (text: string) => void sent.push(parseReply(text)) };
  const transport = new LinkTransport({ wire, maxMessage: 1e6, log, plugin: { type: 'weather' } });
  const { tokens } = servicesOver(transport, log);
  return {
    sent,
    tell: (text) => transport.receive(parseReply(text)),
    send: (action, data, options) => transport.send(action, data, options),
    call: (action, data, options) => transport.call(action, data, options),
    follow: (token) => tokens.follow(token, { signal: new AbortController().signal }),
  };
}

/** A client whose sessions a test ends and begins. */
function overSessions() {
  const sent: Message[] = [];
  const wire = { isUp: true, maxMessage: 1e6, send: (text: string) => void sent.push(parseReply(text)) };
  const exchange = new Exchange({
    wire,
    whose: 'This client',
    ...{ sendMs: 60_000, callMs: 60_000, maxPending: 10, maxPendingBytes: 1e6, retryStopping: true },
    refusal: (code, message, details) => new CentreondError(code, message, { details }),
    unsent: () => new Error('no session'),
  });
  return {
    sent,
    exchange,
    tell: (text: string) => exchange.receive(parseReply(text)),
    down() {
      wire.isUp = false;
      exchange.down();
      sent.length = 0;
    },
    up() {
      wire.isUp = true;
      exchange.up();
    },
  };
}

const accept = (token: string, more = '{}') => `[ACK] [${token}] {"code":0,"data":${more}}`;
const refuse = (token: string, code: 'BUSY' | 'INVALID_DATA') => {
  const busy = failure('BUSY', { what: 'the list of followed tokens', limit: 1 });
  const error = code === 'BUSY' ? busy : failure('INVALID_DATA', { action: 'A', reason: 'x is missing' });
  return `[ACK] [${token}] ${JSON.stringify({ code: 1, data: error.toData() })}`;
};
const log = (token: string, id: number, code: number) =>
  `[LOG] [${token}] ${JSON.stringify({ id, token, type: 'A', node: 'n', code, etime: 1, ctime: 1, data: null })}`;
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );
const turn = () => new Promise(setImmediate);
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

describe.each([
  ['a client', ofClient],
  ['a plugin', ofPlugin],
])('over the line of %s', (_, line) => {
  test('an onRow that throws rejects its own call, and no other', async () => {
    const at = line();
    const bad = codeOf(
      at.call(
        'A',
        {},
        {
          token: 't1',
          onRow: () => {
            throw new Error('a bug');
          },
        },
      ),
    );
    const good = at.call('A', {}, { token: 't2' });
    for (const token of ['t1', 't2']) {
      at.tell(accept(token));
      at.tell(log(token, 1, 0));
    }
    at.tell(log('t2', 2, 2));
    expect(await bad).toBe('a bug');
    expect(await good).toMatchObject({ ok: true, code: 2 });
  });

  test('each error has the values of its sentence, and says whether to send again', async () => {
    const at = line();
    const errorOf = (promise: Promise<unknown>) =>
      promise.then(
        () => expect.fail('resolved'),
        (error: CentreondError) => ({ code: error.code, retryable: error.retryable, details: error.details }),
      );
    const [invalid, busy, over, silent] = ['invalid', 'busy', 'over', 'silent'];
    const errors = [
      errorOf(at.send('A', {}, { token: invalid })),
      errorOf(at.send('A', {}, { token: busy })),
      errorOf(at.call('A', {}, { token: over, timeoutMs: 30 })),
      errorOf(at.send('A', {}, { token: silent, timeoutMs: 30 })),
    ];
    at.tell(refuse(invalid, 'INVALID_DATA'));
    at.tell(refuse(busy, 'BUSY'));
    at.tell(accept(over));
    expect(await Promise.all(errors)).toEqual([
      { code: 'INVALID_DATA', retryable: false, details: { action: 'A', token: invalid } },
      { code: 'BUSY', retryable: true, details: { action: 'A', token: busy } },
      { code: 'WAIT_OVER', retryable: false, details: { token: over, seconds: 0.03 } },
      { code: 'NOT_ACKNOWLEDGED', retryable: true, details: { token: silent, seconds: 0.03 } },
    ]);
  });

  test('a call whose FOLLOW is refused was accepted, and its error says so', async () => {
    const at = line();
    const call = at.call('A', {}, { token: 't' });
    const [, follow] = at.sent;
    expect(follow?.action).toBe('FOLLOW');
    at.tell(accept('t'));
    at.tell(refuse(String(follow?.token), 'BUSY'));
    await expect(call).rejects.toMatchObject({ code: 'NOT_FOLLOWED' });
    await expect(call).rejects.toThrow(
      /^t was accepted and goes on, .* Do not send it again; read it later by its token\.$/,
    );
  });

  test('a refused call leaves nothing behind: the next one with its token asks for its rows again', async () => {
    const at = line();
    const first = codeOf(at.call('A', { n: 1 }, { token: 't' }));
    at.tell(refuse('t', 'INVALID_DATA'));
    expect(await first).toBe('INVALID_DATA');
    const second = at.call('A', { n: 2 }, { token: 't' });
    expect(at.sent.map(({ action }) => action)).toEqual(['A', 'FOLLOW', 'A', 'FOLLOW']);
    at.tell(accept('t'));
    at.tell(log('t', 1, 2));
    expect(await second).toMatchObject({ ok: true });
  });

  test('a call whose wait was over before it was refused leaves nothing behind either', async () => {
    const at = line();
    expect(await codeOf(at.call('A', {}, { token: 't', timeoutMs: 20 }))).toBe('NOT_ACKNOWLEDGED');
    at.tell(refuse('t', 'BUSY'));
    const again = at.call('A', {}, { token: 't' });
    expect(at.sent.map(({ action }) => action)).toEqual(['A', 'FOLLOW', 'A', 'FOLLOW']);
    at.tell(accept('t'));
    at.tell(log('t', 1, 2));
    expect(await again).toMatchObject({ ok: true });
  });

  test('the late answer to a request that is no longer waited for is not taken for that of its repeat', async () => {
    const at = line();
    expect(await codeOf(at.send('A', {}, { token: 't', timeoutMs: 20 }))).toBe('NOT_ACKNOWLEDGED');
    const again = at.send('A', {}, { token: 't' });
    at.tell(refuse('t', 'BUSY'));
    at.tell(accept('t', '{"own":true}'));
    expect(JSON.stringify(await again)).toContain('own');
  });

  test('a FOLLOW that is refused before the ACK of its call is sent again with the ACK', async () => {
    const at = line();
    const call = at.call('A', {}, { token: 't' });
    at.tell(refuse(String(at.sent[1]?.token), 'BUSY'));
    at.tell(accept('t'));
    expect(at.sent.map(({ action }) => action)).toEqual(['A', 'FOLLOW', 'FOLLOW']);
    at.tell(log('t', 1, 2));
    expect(await call).toMatchObject({ ok: true });
  });

  test('a GETLOG that is refused before the ACK of its call is sent again with the ACK', async () => {
    const at = line();
    const rows = at.follow('t')[Symbol.asyncIterator]();
    const row = rows.next();
    await turn();
    const call = at.call('A', {}, { token: 't' });
    const reads = () => at.sent.filter(({ action }) => action === 'GETLOG');
    expect(reads().length).toBe(1);
    at.tell(refuse(String(reads()[0]?.token), 'BUSY'));
    at.tell(accept('t'));
    expect(reads().length).toBe(2);
    at.tell(accept(String(reads()[1]?.token), '{"result":[],"more":false}'));
    at.tell(log('t', 1, 2));
    expect(await call).toMatchObject({ ok: true });
    expect(await row).toMatchObject({ value: { id: 1 } });
    await rows.return?.();
  });

  test('the refusal of an earlier FOLLOW does not end who was asked for since', async () => {
    const at = line();
    const call = codeOf(at.call('A', {}, { token: 't' }));
    const [, first] = at.sent;
    const rows = at.follow('t')[Symbol.asyncIterator]();
    const row = rows.next();
    await turn();
    at.tell(refuse('t', 'INVALID_DATA'));
    expect(await call).toBe('INVALID_DATA');
    at.tell(refuse(String(first?.token), 'BUSY'));
    at.tell(log('t', 7, 10));
    expect(await row).toMatchObject({ value: { id: 7 } });
    await rows.return?.();
  });

  test('a wait is over with what is known: nobody acknowledged it, or it goes on', async () => {
    const at = line();
    const unanswered = at.send('A', {}, { token: 't1', timeoutMs: 20 });
    await expect(unanswered).rejects.toMatchObject({ code: 'NOT_ACKNOWLEDGED' });
    await expect(unanswered).rejects.toThrow('Send it again under the same token');
    expect(await codeOf(at.call('A', {}, { token: 't2', timeoutMs: 20 }))).toBe('NOT_ACKNOWLEDGED');
    const accepted = at.call('A', {}, { token: 't3', timeoutMs: 20 });
    at.tell(accept('t3'));
    expect(await codeOf(accepted)).toBe('WAIT_OVER');
  });

  test('the same request twice at once is sent twice, and each gets its own answer', async () => {
    const at = line();
    const both = [at.send('A', { n: 1 }, { token: 't' }), at.send('A', { n: 1 }, { token: 't' })];
    expect(await codeOf(at.send('A', { n: 2 }, { token: 't' }))).toBe('TOKEN_REUSED');
    expect(at.sent.length).toBe(2);
    at.tell(accept('t'));
    at.tell(accept('t', '{"duplicate":true}'));
    const [first, second] = await Promise.all(both);
    expect(JSON.stringify(first)).not.toContain('duplicate');
    expect(JSON.stringify(second)).toContain('duplicate');
    const calls = [at.call('A', {}, { token: 'u' }), at.call('A', {}, { token: 'u' })];
    for (const text of [accept('u'), accept('u', '{"duplicate":true}'), log('u', 1, 0), log('u', 2, 2)]) at.tell(text);
    // Who comes second reads what it may have missed.
    const read = at.sent.findLast(({ action }) => action === 'GETLOG');
    at.tell(
      accept(String(read?.token), `{"result":[${log('u', 1, 0).slice(10)},${log('u', 2, 2).slice(10)}],"more":false}`),
    );
    expect(await Promise.all(calls)).toMatchObject([{ ok: true }, { ok: true }]);
  });

  test('two readers of one token get each row once, also where the second comes late', async () => {
    const at = line();
    const read = async (rows: AsyncIterable<{ id: number }>) => {
      const ids: number[] = [];
      for await (const { id } of rows) ids.push(id);
      return ids;
    };
    const first = read(at.follow('t'));
    await turn();
    const follow = at.sent.find(({ action }) => action === 'FOLLOW');
    at.tell(accept(String(follow?.token)));
    for (const id of [1, 2]) at.tell(log('t', id, 10));
    const second = read(at.follow('t'));
    await turn();
    at.tell(log('t', 3, 10));
    const page = at.sent.findLast(({ action }) => action === 'GETLOG');
    at.tell(
      accept(String(page?.token), `{"result":[${[1, 2, 3].map((id) => log('t', id, 10).slice(10))}],"more":false}`),
    );
    at.tell(log('t', 4, 2));
    expect(await first).toEqual([1, 2, 3, 4]);
    expect(await second).toEqual([1, 2, 3, 4]);
    expect(at.sent.filter(({ action }) => action === 'FOLLOW').length).toBe(1);
  });

  test('200,000 rows come once each to a reader that awaits, and few of them wait in memory', async () => {
    const at = line();
    const ids: number[] = [];
    let isOver = false;
    const reading = (async () => {
      for await (const { id } of at.follow('t')) {
        ids.push(id);
        if (id % 64 === 0) await turn();
      }
      isOver = true;
    })();
    await turn();
    const COUNT = 200_000;
    const fill = 'x'.repeat(200);
    const row = (id: number) =>
      `{"id":${id},"token":"t","type":"A","node":"n","code":${id === COUNT ? 2 : 10},"etime":1,"ctime":1,"data":"${fill}"}`;
    const held = () => {
      gc();
      return process.memoryUsage().heapUsed;
    };
    const before = held();
    let most = 0;
    // All of it comes at once; what the reader let go it fetches page by page.
    for (let id = 1; id <= COUNT; id++) at.tell(`[LOG] [t] ${row(id)}`);
    for (let answered = 0, turns = 0; !isOver; ) {
      for (; answered < at.sent.length; answered++) {
        const { action, token, data } = at.sent[answered] as Message;
        if (action !== 'GETLOG') continue;
        const { id: after, limit } = JSON.parse(data) as { id: number; limit: number };
        const last = Math.min(COUNT, after + limit);
        const rows = Array.from({ length: last - after }, (_, i) => row(after + 1 + i));
        at.tell(accept(token, `{"result":[${rows.join()}],"more":${last < COUNT}}`));
      }
      if (turns++ % 256 === 0) most = Math.max(most, held() - before);
      await turn();
    }
    await reading;
    expect(ids.length).toBe(COUNT);
    expect(ids.every((id, i) => id === i + 1)).toBe(true);
    expect(most).toBeLessThan(64 * 2 ** 20);
  }, 60_000);
});

describe('over sessions that end and begin', () => {
  const actions = (sent: readonly Message[]) => sent.map(({ action }) => action);

  test('each request is sent again with its FOLLOW right behind it', () => {
    const at = overSessions();
    for (const token of ['t1', 't2']) void codeOf(at.exchange.call('A', {}, { token }));
    at.down();
    at.up();
    expect(actions(at.sent)).toEqual(['A', 'FOLLOW', 'A', 'FOLLOW']);
  });

  test('a call that is refused as BUSY in a second session goes again, and is followed when it is accepted', async () => {
    const at = overSessions();
    const call = at.exchange.call('A', {}, { token: 't' });
    const send = at.exchange.send('A', {}, 't');
    at.down();
    at.up();
    at.tell(refuse('t', 'BUSY'));
    at.tell(accept('t'));
    await send;
    await vi.waitFor(() => expect(actions(at.sent)).toEqual(['A', 'FOLLOW', 'A', 'A', 'FOLLOW']));
    at.tell(accept('t', '{"duplicate":true}'));
    at.tell(log('t', 1, 2));
    expect(await call).toMatchObject({ ok: true });
  });

  test('what waits to be sent again goes with the next session, once', async () => {
    const at = overSessions();
    const call = at.exchange.call('A', {}, { token: 't' });
    at.down();
    at.up();
    at.tell(refuse('t', 'BUSY'));
    at.down();
    at.up();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(actions(at.sent)).toEqual(['A', 'FOLLOW']);
    at.tell(accept('t'));
    at.tell(log('t', 1, 2));
    expect(await call).toMatchObject({ ok: true });
  });

  test('a request counts until its copy is answered or its session is gone, whether its caller waits or not', async () => {
    const at = overSessions();
    const all = Array.from({ length: 10 }, (_, i) => at.exchange.send('A', {}, `t${i}`, { timeoutMs: 10 }));
    expect(await Promise.all(all.map(codeOf))).toEqual(all.map(() => 'NOT_ACKNOWLEDGED'));
    const busy = at.exchange.send('A', {}, 'more');
    await expect(busy).rejects.toThrow(/^This client is full \(10\)/);
    at.tell(accept('t0'));
    const one = at.exchange.send('A', {}, 'more');
    at.tell(accept('more'));
    await one;
    at.down();
    at.up();
    expect(at.sent).toEqual([]);
    for (let i = 0; i < 10; i++) void codeOf(at.exchange.send('A', {}, `u${i}`));
    expect(at.sent.length).toBe(10);
    at.exchange.end(new Error('over'));
  });
});

test('a repeat may say another deadline or trace: the router takes it for the same, too', async () => {
  const { exchange, sent, tell } = overSessions();
  const first = exchange.send('A', { n: 1, m: 2 }, 't', { envelope: { deadline: 5 } });
  const again = exchange.send('A', { m: 2, n: 1 }, 't', { envelope: { deadline: 6, traceparent: 'x' } });
  expect(await codeOf(exchange.send('A', { n: 1, m: 2 }, 't', { target: 'paris' }))).toBe('TOKEN_REUSED');
  expect(sent.length).toBe(2);
  for (const data of ['{}', '{"duplicate":true}']) tell(accept('t', data));
  await Promise.all([first, again]);
});
