import 'reflect-metadata';
import { FakeClock, testPlugin } from '@centreond/plugin-kit';
import { Action, HEALTH, type Health, inject, Plugin } from '@centreond/plugin-sdk';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { HEALTH_EVERY_MS, LinkHealth, WHY_BYTES } from '../../plugin-sdk/runtime/dist/health.js';

const Nothing = z.strictObject({});

@Plugin({ type: 'patient', title: 'Reports on itself' })
class PatientPlugin {
  constructor(@inject(HEALTH) private readonly health: Health) {}

  @Action('SICKEN', { title: 'Report a trouble', input: Nothing, output: Nothing })
  sicken(): z.input<typeof Nothing> {
    this.health.report('degraded', 'its database answers slowly');
    return {};
  }
}

/** A health, and what its core was told. */
function told() {
  const clock = new FakeClock();
  const messages: string[] = [];
  return { clock, messages, health: new LinkHealth('patient', { send: (text) => messages.push(text) }, clock) };
}

test('a test sees what the plugin reported', async () => {
  await using patient = await testPlugin(PatientPlugin);
  expect(patient.health).toBeUndefined();
  await patient.call('SICKEN', {});
  expect(patient.health).toEqual({ state: 'degraded', why: 'its database answers slowly' });
  expect(patient.router.services.health).toEqual(patient.health);
});

test('the core is told of a first report at once, and of the same report once', async () => {
  const { messages, health, clock } = told();
  for (let i = 0; i < 100; i++) health.report('degraded', 'slow');
  expect(messages).toEqual(['[INSTANCEHEALTH] [degraded] [] {"why":"slow"}']);
  await clock.advance(10 * HEALTH_EVERY_MS);
  health.report('degraded', 'slow');
  expect(messages).toHaveLength(1);
});

test('of many changes the core is told the last, and no more often than each five seconds', async () => {
  const { messages, health, clock } = told();
  for (let i = 0; i < 1000; i++) {
    health.report('degraded', `slow ${i}`);
    await clock.advance(20);
  }
  health.report('ok');
  await clock.advance(HEALTH_EVERY_MS);
  expect(messages.length).toBeLessThanOrEqual(1 + (1000 * 20) / HEALTH_EVERY_MS + 1);
  expect(messages.at(-1)).toBe('[INSTANCEHEALTH] [ok] [] {}');
});

test('a trouble that passes before it was told is not told', async () => {
  const { messages, health, clock } = told();
  health.report('ok');
  health.report('degraded', 'for a moment');
  health.report('ok');
  await clock.advance(2 * HEALTH_EVERY_MS);
  expect(messages).toEqual(['[INSTANCEHEALTH] [ok] [] {}']);
});

test('a long why is cut to its bytes, and not within a character', () => {
  for (const why of ['x'.repeat(5000), 'é'.repeat(5000), '漢'.repeat(5000), `a${'🚑'.repeat(5000)}`]) {
    const { messages, health } = told();
    health.report('degraded', why);
    const { why: sent } = JSON.parse(messages[0]?.slice('[INSTANCEHEALTH] [degraded] [] '.length) ?? '') as {
      why: string;
    };
    expect(Buffer.byteLength(sent)).toBeLessThanOrEqual(WHY_BYTES);
    expect(Buffer.byteLength(sent)).toBeGreaterThan(WHY_BYTES - 8);
    expect(why.startsWith(sent.slice(0, -1))).toBe(true);
    expect(sent.isWellFormed()).toBe(true);
    expect(sent.endsWith('…')).toBe(true);
  }
});

test('what can be no health is refused, with what is wrong', () => {
  const { messages, health } = told();
  const untyped = health as { report(state: string, why?: string): void };
  expect(() => untyped.report('bad')).toThrow("its health 'bad' is neither ok nor degraded");
  expect(() => untyped.report('degraded')).toThrow('degraded needs to say why');
  expect(() => health.report('degraded', ' ')).toThrow(expect.objectContaining({ code: 'INVALID_REPORT' }));
  expect(messages).toEqual([]);
});
