import { CentreondError } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { NO_ANSWER, NOT_REACHED, Turn } from './turns-stage.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('when the turn comes while a request is handed over', () => {
  test.each([
    ['nobody answers', NO_ANSWER],
    ['the other refuses it for now', NOT_REACHED],
    ['its database fails', new CentreondError('INTERNAL', 'failed')],
  ])('it runs here where %s and no other router has it', async (_, error) => {
    const turn = new Turn();
    turn.submit('one');
    turn.standby.giveWay(turn.here);
    expect(turn.here.ran).toEqual([]);
    turn.answer(error);
    await pass(3000);
    expect(turn.here.ran).toEqual(['one']);
    expect(turn.carried).toEqual([]);
  });

  test('it ends where the other refuses it for good', async () => {
    const turn = new Turn();
    turn.submit('one');
    turn.standby.giveWay(turn.here);
    turn.answer(new CentreondError('FORBIDDEN', 'not you'));
    await pass(3000);
    expect([turn.ended, turn.here.ran]).toEqual([['one FORBIDDEN'], []]);
  });

  test('it is left to its rows where the other took it', async () => {
    const turn = new Turn();
    const open = turn.submit('one');
    turn.standby.giveWay(turn.here);
    turn.holders.set('one', 'b');
    turn.answer();
    await pass(60_000);
    expect([turn.here.ran, turn.ended, open.state, turn.standby.elsewhere]).toEqual([[], [], 'running', true]);
  });

  test('it goes to the stand-in that a reload put in place, which hands it over', async () => {
    const turn = new Turn();
    turn.submit('one');
    const renewed = turn.another();
    turn.standby.giveWay(renewed);
    turn.answer(NO_ANSWER);
    await pass(3000);
    expect(turn.carried).toMatchObject([{ token: 'one', router: 'b' }]);
    renewed.giveWay(turn.here);
    turn.answer(NO_ANSWER);
    await pass(3000);
    expect(turn.here.ran).toEqual(['one']);
  });

  test('and goes again, it is handed to the router whose turn it is then', async () => {
    const turn = new Turn();
    turn.submit('one');
    turn.standby.giveWay(turn.here);
    turn.standby.giveWay(turn.another());
    turn.runsOn = 'c';
    turn.answer(NO_ANSWER);
    await pass(3000);
    expect([turn.here.ran, turn.carried]).toMatchObject([[], [{ token: 'one', router: 'c' }]]);
  });

  test('nothing of it runs once the daemon stops', async () => {
    const turn = new Turn();
    turn.submit('one');
    turn.standby.giveWay(turn.here);
    for (const standIn of turn.standIns) standIn.stop();
    turn.answer(NO_ANSWER);
    await pass(60_000);
    expect([turn.here.ran, turn.ended, turn.questions]).toEqual([[], [], 0]);
  });
});

describe('a request of which nobody knows whether another router has it', () => {
  /** It was handed to b, and no answer came. */
  async function unsure(turn: Turn) {
    const open = turn.submit('one');
    turn.answer(NO_ANSWER);
    await pass(0);
    return open;
  }

  test('does not run here when the turn comes and the other has it', async () => {
    const turn = new Turn();
    turn.holders.set('one', 'b');
    const open = await unsure(turn);
    turn.standby.giveWay(turn.here);
    await pass(60_000);
    expect([turn.here.ran, open.state]).toEqual([[], 'running']);
  });

  test('does not run here if it has ended', async () => {
    const turn = new Turn();
    turn.holders.set('one', undefined);
    await unsure(turn);
    turn.standby.giveWay(turn.here);
    await pass(60_000);
    expect(turn.here.ran).toEqual([]);
  });

  test('is kept before it runs here: a hand-over that arrives later takes nothing', async () => {
    const turn = new Turn();
    await unsure(turn);
    turn.standby.giveWay(turn.here);
    await pass(0);
    expect([turn.here.ran, turn.kept.get('one')]).toEqual([['one'], 1]);
  });

  test('does not run here where another router takes it before it is kept', async () => {
    const turn = new Turn();
    await unsure(turn);
    turn.beforeKept = () => turn.holders.set('one', 'b');
    turn.standby.giveWay(turn.here);
    await pass(60_000);
    expect([turn.here.ran, turn.kept.size]).toEqual([[], 0]);
  });

  test('is kept before it is handed over again', async () => {
    const turn = new Turn();
    const open = turn.submit('one');
    expect(turn.kept.get('one')).toBeUndefined();
    for (const times of [1, 2]) {
      turn.answer(NO_ANSWER);
      await pass(1000);
      expect([turn.kept.get('one'), turn.carried.length]).toEqual([times, 1]);
    }
    expect(open.state).toBe('running');
  });

  test('does not run here once it was seen at the other, though it is taken over: that settles it', async () => {
    const turn = new Turn();
    turn.holders.set('one', 'b');
    await unsure(turn);
    turn.standby.giveWay(turn.here);
    await pass(10);
    turn.holders.set('one', 'a');
    await pass(60_000);
    expect(turn.here.ran).toEqual([]);
  });

  test('runs here when the turn comes and no other has it, once the database says so', async () => {
    const turn = new Turn();
    turn.holders.set('one', new Error('it is away'));
    await unsure(turn);
    turn.standby.giveWay(turn.here);
    await pass(20_000);
    expect(turn.here.ran).toEqual([]);
    turn.holders.set('one', 'a');
    await pass(3000);
    expect(turn.here.ran).toEqual(['one']);
  });

  test('is handed over again only where no other has it', async () => {
    const turn = new Turn();
    await unsure(turn);
    await pass(1000);
    expect(turn.carried).toMatchObject([{ token: 'one', router: 'b' }]);
    turn.holders.set('one', 'b');
    turn.answer(NO_ANSWER);
    await pass(10_000);
    expect(turn.carried).toEqual([]);
  });

  test('is not ended here when its patience is over and another router has it', async () => {
    const turn = new Turn();
    turn.holders.set('one', 'b');
    await unsure(turn);
    turn.runsOn = undefined;
    await pass(120_000);
    expect(turn.ended).toEqual([]);
    const free = new Turn();
    await unsure(free);
    free.runsOn = undefined;
    await pass(32_000);
    expect(free.ended).toEqual(['one NODE_UNREACHABLE']);
  });

  test('that is cancelled is stopped at the router that has it, whoever was handed it', async () => {
    const turn = new Turn();
    turn.holders.set('one', 'c');
    const open = await unsure(turn);
    turn.abort(open);
    await pass(2000);
    expect([turn.cancelled, turn.ended]).toEqual([['cancel one at c'], []]);
  });

  test('that is cancelled ends at once where no other has it', async () => {
    const turn = new Turn();
    turn.abort(await unsure(turn));
    await pass(0);
    expect([turn.cancelled, turn.ended]).toEqual([[], ['one CANCELLED']]);
    await pass(10_000);
    expect(turn.carried).toEqual([]);
  });

  test('that is cancelled while the database is away is stopped once that is back', async () => {
    const turn = new Turn();
    turn.holders.set('one', new Error('it is away'));
    turn.abort(await unsure(turn));
    await pass(5000);
    expect([turn.cancelled, turn.ended]).toEqual([[], []]);
    expect(turn.log.lines.join()).toContain('it is not told to stop');
    turn.holders.set('one', 'b');
    await pass(1000);
    expect([turn.cancelled, turn.ended]).toEqual([['cancel one at b'], []]);
  });

  test('is refused for good by one router, and ends only if no other has it', async () => {
    const turn = new Turn();
    await unsure(turn);
    await pass(1000);
    turn.holders.set('one', 'c');
    turn.answer(new CentreondError('FORBIDDEN', 'not you'));
    await pass(10_000);
    expect(turn.ended).toEqual([]);
  });
});

test('a request that is cancelled while it is handed over is stopped where it arrived', async () => {
  const turn = new Turn();
  const open = turn.submit('one');
  turn.abort(open);
  await pass(0);
  expect(turn.ended).toEqual([]);
  turn.holders.set('one', 'b');
  turn.answer();
  await pass(0);
  expect([turn.cancelled, turn.ended]).toEqual([['cancel one at b'], []]);
});

test('a request that another router took, and handed on, is stopped where it is, also when the turn has come here', async () => {
  const turn = new Turn();
  const open = turn.submit('one');
  turn.answer();
  await pass(0);
  turn.holders.set('one', 'c');
  turn.standby.giveWay(turn.here);
  turn.abort(open);
  await pass(0);
  expect([turn.cancelled, turn.here.aborted]).toEqual([['cancel one at c'], []]);
});

describe('what the router knows of the requests of a stand-in', () => {
  test('is what it knows of those of the plugin, once it runs here', async () => {
    const turn = new Turn();
    turn.runsOn = undefined;
    const open = turn.submit('one');
    expect([turn.standby.elsewhere, turn.standby.abortGraceMs]).toEqual([true, 60_000]);
    turn.standby.giveWay(turn.here);
    expect([turn.here.ran, open.state]).toEqual([['one'], 'running']);
    // A stop lets it finish, and waits for no row of another router.
    expect([turn.standby.elsewhere, turn.standby.abortGraceMs]).toEqual([undefined, undefined]);
  });

  test('is that they run elsewhere, while another router has one of them', async () => {
    const turn = new Turn();
    const open = turn.submit('one');
    turn.answer();
    turn.standby.giveWay(turn.here);
    expect(turn.standby.elsewhere).toBe(true);
    open.ended();
    turn.standby.withdraw(open);
    expect(turn.standby.elsewhere).toBeUndefined();
    expect(turn.standIns.map(({ isOver }) => isOver)).toEqual([true]);
  });

  test('is that they run elsewhere, where another stand-in has its place', () => {
    const turn = new Turn();
    turn.standby.giveWay(turn.another());
    expect([turn.standby.elsewhere, turn.standby.abortGraceMs]).toEqual([true, 60_000]);
  });
});
