import 'reflect-metadata';
import { FakeClock, testPlugin } from '@centreond/plugin-kit';
import { Action, type ActionContext, CLOCK, type Clock, inject, Plugin } from '@centreond/plugin-sdk';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { MACHINE_CLOCK } from '../../plugin-sdk/runtime/dist/clock.js';

const Nothing = z.strictObject({});
const Waited = z.strictObject({ ms: z.number() });
const HOUR = 3_600_000;

@Plugin({ type: 'patient', title: 'Waits' })
class PatientPlugin {
  constructor(@inject(CLOCK) private readonly clock: Clock) {}

  @Action('PAUSE', { title: 'Pause for an hour', input: Nothing, output: Waited, timeoutSeconds: 7200 })
  async pause(_: z.output<typeof Nothing>, { signal }: ActionContext): Promise<z.input<typeof Waited>> {
    const from = this.clock.now();
    await this.clock.sleep(HOUR, { signal });
    return { ms: this.clock.now() - from };
  }
}

test("a plugin's CLOCK is the clock of the test, so an hour passes at once", async () => {
  const clock = new FakeClock();
  await using patient = await testPlugin(PatientPlugin, { clock });
  const outcome = patient.call('PAUSE', {}, { token: 'hour' });
  await clock.advance(HOUR - 1);
  expect(patient.router.open).toEqual(['hour']);
  await clock.advance(1);
  expect(await outcome).toMatchObject({ ok: true, data: { ms: HOUR } });
});

test('an abort ends the sleep of a request, and leaves no timer behind', async () => {
  const clock = new FakeClock();
  await using patient = await testPlugin(PatientPlugin, { clock });
  const outcome = patient.call('PAUSE', {}, { token: 'hour' });
  await clock.advance(10);
  patient.abort('hour');
  expect(await outcome).toMatchObject({ ok: false, data: { error: 'CANCELLED' } });
  expect(clock.timers).toBe(0);
});

for (const [name, clock] of [
  ['the machine’s clock', MACHINE_CLOCK],
  ['the clock of a test', new FakeClock()],
] as const) {
  const pass = async () => (clock instanceof FakeClock ? clock.advance(20) : undefined);

  test(`${name}: what is due runs once, what was cancelled or aborted never`, async () => {
    const ran: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const aborting = new AbortController();
    const kept = new AbortController();
    clock.after(20, () => {
      ran.push('last');
      resolve();
    });
    clock.after(5, () => ran.push('kept'), { signal: kept.signal });
    clock.after(5, () => ran.push('aborted'), { signal: aborting.signal });
    clock.after(5, () => ran.push('never began'), { signal: AbortSignal.abort() });
    clock.after(5, () => ran.push('disposed'))[Symbol.dispose]();
    clock.after(5, () => ran.push('disposed'), { signal: kept.signal })[Symbol.dispose]();
    aborting.abort();
    await pass();
    await promise;
    kept.abort();
    expect(ran).toEqual(['kept', 'last']);
  });

  test(`${name}: a sleep that is aborted rejects with the reason at once`, async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const sleeping = clock.sleep(HOUR, { signal: controller.signal });
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(clock.sleep(HOUR, { signal: controller.signal })).rejects.toBe(reason);
    const over = clock.sleep(1);
    await pass();
    await over;
  });
}

test('a clock that is set back jumps, and its timers run after as long as before', async () => {
  const clock = new FakeClock(1_000_000);
  const ran: number[] = [];
  clock.after(100, () => ran.push(clock.now()));
  clock.set(500_000);
  await clock.advance(99);
  expect(ran).toEqual([]);
  await clock.advance(1);
  expect(ran).toEqual([500_100]);
});
