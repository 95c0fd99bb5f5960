import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Pending, Unanswered } from '../../../core/dist/fleet/pending.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const nothing = () => {};
const causeOf = (asked: Promise<string>) => asked.then(nothing, (error: unknown) => error);

describe('what a peer was asked', () => {
  test('resolves with the data of its answer, each question with its own', async () => {
    const pending = new Pending('paris', 10);
    const asked = ['a', 'b'].map((key) => pending.ask(key, 1000, nothing));
    pending.answer('b', '{"code":0,"data":{"of":"b"}}');
    pending.answer('a', '{"code":0}');
    expect(await Promise.all(asked)).toEqual(['{}', '{"of":"b"}']);
  });

  test('rejects with the refusal of the peer', async () => {
    const pending = new Pending('paris', 10);
    const cause = causeOf(pending.ask('a', 1000, nothing));
    pending.answer('a', '{"code":1,"data":{"error":"FORBIDDEN","message":"not you"}}');
    expect(await cause).toMatchObject({ code: 'FORBIDDEN', message: 'not you' });
    expect(await cause).not.toBeInstanceOf(Unanswered);
  });

  test.each(['', 'null', '{"data":{}}', '{"code":0,"data":[]}', '{"code":"0"}'])(
    'is unanswered if the answer is malformed: %j',
    async (text) => {
      const pending = new Pending('paris', 10);
      const cause = causeOf(pending.ask('a', 1000, nothing));
      pending.answer('a', text);
      expect(await cause).toBeInstanceOf(Unanswered);
      expect(await cause).toMatchObject({ code: 'NODE_UNREACHABLE' });
    },
  );

  test('is unanswered after its time, and a later answer is dropped', async () => {
    const pending = new Pending('paris', 10);
    const cause = causeOf(pending.ask('a', 1000, nothing));
    await vi.advanceTimersByTimeAsync(1000);
    expect(await cause).toBeInstanceOf(Unanswered);
    expect(await cause).toMatchObject({ code: 'NOT_ACKNOWLEDGED' });
    pending.answer('a', '{"code":0}');
  });

  test('is unanswered when the peer leaves', async () => {
    const pending = new Pending('paris', 10);
    const causes = ['a', 'b'].map((key) => causeOf(pending.ask(key, 1000, nothing)));
    pending.drop();
    for (const cause of await Promise.all(causes)) expect(cause).toBeInstanceOf(Unanswered);
  });

  test('has a limit, and one question of a key: beyond them nothing is sent', async () => {
    const pending = new Pending('paris', 2);
    const send = vi.fn();
    void pending.ask('a', 1000, send);
    expect(await causeOf(pending.ask('a', 1000, send))).toMatchObject({ code: 'BUSY' });
    void pending.ask('b', 1000, send);
    expect(await causeOf(pending.ask('c', 1000, send))).toMatchObject({ code: 'BUSY' });
    expect(send).toHaveBeenCalledTimes(2);
    pending.answer('a', '{"code":0}');
    void pending.ask('c', 1000, send);
    expect(send).toHaveBeenCalledTimes(3);
  });
});
