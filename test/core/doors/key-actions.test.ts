import { describe, expect, test } from 'vitest';
import { KeyActions, type KeyActionsOptions } from '../../../core/dist/doors/key-actions.js';

const thumbprint = 'A'.repeat(43);
const others = [
  { address: 'tcp://central-b:5555', fingerprint: 'E7L-uohg6OJu5_SRlSQ8utZgMzgojU6EiOo9HVdr9IY' },
  { address: 'tcp://central-c:5555', fingerprint: 'K08kPgYsA27HBTOkhrG2qcOHH3Sbk54Pi6UvgaAhPdQ' },
];

/** What JOIN answers for paris-1. */
function joined(options: Partial<KeyActionsOptions>): ReturnType<KeyActions['join']> {
  const trust = { invite: () => ({ token: 'token', until: 5 }) } as unknown as KeyActionsOptions['trust'];
  const chronicle = { tell: () => undefined };
  const endpoint = 'tcp://127.0.0.1:5555';
  const actions = new KeyActions({ id: 'central-a', trust, chronicle, thumbprint, endpoint, ...options });
  const context = { caller: { identity: 'root' }, target: '' } as Parameters<KeyActions['join']>[1];
  return actions.join({ identity: 'paris-1' }, context);
}

describe('JOIN', () => {
  test('of a router alone tells where it listens, and of no other', () => {
    expect(joined({})).toMatchObject({ reach: 'loopback', addresses: ['tcp://127.0.0.1:5555'], others: [] });
  });

  test('tells the address that the config names instead', () => {
    const advertise = 'tcp://central-a.example:5555';
    expect(joined({ advertise })).toMatchObject({ reach: 'address', addresses: [advertise] });
  });

  test('names the other routers of the cluster: not itself, none whose address means nothing elsewhere, and 15 at most', () => {
    const [b, c] = others;
    const self = { address: 'tcp://central-a:5555', fingerprint: thumbprint };
    const anywhere = { address: 'tcp://0.0.0.0:5555', fingerprint: c?.fingerprint ?? '' };
    const keyless = { address: 'tcp://central-d:5555', fingerprint: '' };
    expect(joined({ cluster: { others: () => [self, anywhere, keyless, ...others] } }).others).toEqual([b, c]);
    expect(joined({ cluster: { others: () => Array.from({ length: 40 }, () => others).flat() } }).others).toHaveLength(
      15,
    );
  });
});
