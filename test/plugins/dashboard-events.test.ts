import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventParser, type ServerEvent } from '../../plugins/http/dashboard/src/api/event-parser.ts';
import { readEvents, type StreamOptions, waitOf } from '../../plugins/http/dashboard/src/api/event-stream.ts';

const parsed = (...pieces: string[]) => {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece));
};

test('an event has its id, its name and its data, line by line', () => {
  expect(parsed('id: 7\nevent: row\ndata: {"a":1}\ndata:  two\n\n')).toEqual([
    { id: '7', event: 'row', data: '{"a":1}\n two' },
  ]);
  expect(parsed('data\n\ndata: x\n\n')).toEqual([
    { id: '', event: 'message', data: '' },
    { id: '', event: 'message', data: 'x' },
  ]);
});

test('comments, unknown fields and events without data are passed over; an id holds until the next', () => {
  expect(parsed(': alive\n\nid: 3\n\nevent: end\n\nwhat: ever\ndata: x\n\nid: a\0b\ndata: y\n\n')).toEqual([
    { id: '3', event: 'message', data: 'x' },
    { id: '3', event: 'message', data: 'y' },
  ]);
});

test('what was not completed by an empty line is no event', () => {
  expect(parsed('id: 1\ndata: x\n')).toEqual([]);
});

test('the server may say how long to wait', () => {
  const parser = new EventParser();
  parser.push('retry: 250\nretry: soon\n\n');
  expect(parser.retryMs).toBe(250);
});

test('cut anywhere, and with any end of line, a stream says the same', () => {
  const Text = fc.string({ unit: fc.constantFrom('a', ':', ' ', 'é', '{', '0') });
  const Sent = fc.array(
    fc.record({
      id: fc.nat(),
      event: fc.constantFrom('row', 'end'),
      data: fc.array(Text, { minLength: 1, maxLength: 3 }),
    }),
  );
  const End = fc.constantFrom('\n', '\r\n', '\r');
  fc.assert(
    fc.property(Sent, End, fc.array(fc.nat()), (sent, end, cuts) => {
      const lines = sent.flatMap(({ id, event, data }) => [
        `id: ${id}`,
        `event: ${event}`,
        ...data.map((d) => `data: ${d}`),
        '',
      ]);
      const text = lines.map((line) => line + end).join('');
      const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
      const pieces = [0, ...places].map((from, index) => text.slice(from, places[index] ?? text.length));
      // A lone CR at the very end could still be half of a CRLF: what follows decides.
      expect(parsed(...pieces, ...(end === '\r' ? [': '] : []))).toEqual(
        sent.map(({ id, event, data }) => ({ id: String(id), event, data: data.join('\n') })),
      );
    }),
  );
});

/** A server that answers each connection with the next of `answers`. */
function server(...answers: (Response | Error)[]) {
  const asked: string[] = [];
  const waits: number[] = [];
  const events: ServerEvent[] = [];
  const states: string[] = [];
  const left = new AbortController();
  const options: StreamOptions = {
    signal: left.signal,
    last: 'end',
    open: async (lastId) => {
      asked.push(lastId);
      const answer = answers.shift();
      if (answer instanceof Response) return answer;
      throw answer ?? new Error('asked too often');
    },
    refusalOf: async (response) => new Error(`refused with ${response.status}`),
    onEvent: (event) => events.push(event),
    onState: (state) => states.push(state),
    wait: async (ms) => {
      waits.push(ms);
    },
  };
  return { options, asked, waits, events, states, left };
}
const row = (id: number) => `id: ${id}\nevent: row\ndata: ${id}\n\n`;
const end = 'id: 9\nevent: end\ndata: {}\n\n';

test('a stream that breaks goes on behind the last event, after a pause that an event makes short again', async () => {
  const on = server(
    new Response(row(1) + row(2)),
    new Error('connection refused'),
    new Response('', { status: 503 }),
    new Response(row(3)),
    new Response(row(4) + end),
  );
  await readEvents(on.options);
  expect(on.events.map(({ data }) => data)).toEqual(['1', '2', '3', '4', '{}']);
  expect(on.asked).toEqual(['', '2', '2', '2', '3']);
  expect(on.waits).toHaveLength(4);
  const [first = 0, second = 0, third = 0, fourth = 0] = on.waits;
  expect(second).toBeGreaterThanOrEqual(500);
  expect(third).toBeGreaterThanOrEqual(1000);
  for (const wait of [first, fourth]) expect(wait).toBeLessThanOrEqual(500);
  expect(on.states).toEqual([
    'connecting',
    'live',
    'waiting',
    'connecting',
    'waiting',
    'connecting',
    'waiting',
    'connecting',
    'live',
    'waiting',
    'connecting',
    'live',
  ]);
});

test('pauses grow to 15 s and no further', () => {
  expect([0, 1, 5, 50].map((failures) => waitOf(failures, 1))).toEqual([500, 1000, 15_000, 15_000]);
  expect(waitOf(50, 0)).toBe(7500);
});

test.each([401, 403, 404])('HTTP status %i is for good', async (status) => {
  const on = server(new Response('{}', { status }));
  await expect(readEvents(on.options)).rejects.toThrow(`refused with ${status}`);
  expect(on.asked).toHaveLength(1);
});

test('who leaves is not connected again', async () => {
  const on = server(new Response(row(1)));
  on.options.onState = (state) => {
    if (state === 'waiting') on.left.abort(new Error('left'));
  };
  await expect(readEvents(on.options)).rejects.toThrow('left');
  expect(on.asked).toHaveLength(1);
});
