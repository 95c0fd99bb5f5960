import { z } from 'zod';
import { MIB, size } from './leaves.ts';

/** What the router keeps open at most, in all and for each identity. The only place where these defaults stand. */
export const Limits = z
  .strictObject({
    requests: bound('Open requests', { count: 200_000, bytes: '256MiB' }, { count: 100_000, bytes: '128MiB' }),
    held: bound(
      'Requests kept for nodes that are away',
      { count: 100_000, bytes: '256MiB' },
      { count: 10_000, bytes: '64MiB' },
    ),
    follows: z
      .strictObject({
        count: count('Followed tokens in all.', 200_000),
        perIdentity: z.strictObject({ count: count('Followed tokens of one identity.', 65_536) }).prefault({}),
        buffer: size('Rows that wait for followers that catch up.', MIB, 1_024 ** 4).prefault('64MiB'),
      })
      .prefault({})
      .describe('Tokens that are followed.'),
    reads: z
      .strictObject({
        count: count('Reads of the history that wait, in all.', 10_000),
        perIdentity: z.strictObject({ count: count('Reads of one identity that wait.', 1_000) }).prefault({}),
      })
      .prefault({})
      .describe('Reads of the history.'),
    connections: z
      .strictObject({
        count: count('Connections in all.', 32_768),
        perAddress: z
          .strictObject({ count: count('Connections from one address, or from one /64 network of IPv6.', 8_192) })
          .prefault({}),
      })
      .prefault({})
      .describe('Connections to the external door. Beyond it they are closed.'),
    strangers: z
      .strictObject({
        perSecond: count(
          'Signatures of unknown keys that are verified in a second, in all. A burst may be twice as large.',
          100,
        ),
        perAddress: z
          .strictObject({
            perSecond: count('Of one address, or of one /64 network of IPv6. A burst may be five times as large.', 20),
          })
          .prefault({}),
      })
      .prefault({})
      .describe(
        'Handshakes of keys that nobody has accepted. Those above the limit are refused unread. Accepted keys are exempt.',
      ),
  })
  .prefault({})
  .describe('What is kept open at most, in all and for each identity. Beyond it requests are refused with BUSY.');

interface Defaults {
  readonly count: number;
  readonly bytes: string;
}

function bound(what: string, all: Defaults, each: Defaults) {
  return z
    .strictObject({
      count: count(`${what} in all.`, all.count),
      bytes: bytes(`Bytes that they hold in all.`, all.bytes),
      perIdentity: z
        .strictObject({
          count: count(`${what} of one identity.`, each.count),
          bytes: bytes('Bytes that those of one identity hold.', each.bytes),
        })
        .prefault({}),
    })
    .prefault({})
    .describe(`${what}.`);
}

function count(description: string, value: number) {
  return z.int().min(1).max(10_000_000).default(value).describe(description);
}

function bytes(description: string, value: string) {
  return size(description, MIB, 1_024 ** 4).prefault(value);
}
