// The files that are mutated, and the tests that run for each.
const CHANNEL = ['plugin-sdk/channel-', 'plugin-sdk/negative-vectors', 'core/doors/handshake'];
const DOORS = [
  'core/doors/handshake',
  'core/doors/sessions',
  'core/doors/external',
  'core/doors/join.',
  'core/doors/neg',
];
const ROUTER = ['core/router/authorize', 'core/router/envelope', 'core/router/ladder', 'core/router/repeat'];

export const SUBJECTS: Readonly<Record<string, readonly string[]>> = {
  'core/src/router/authorize.ts': ROUTER,
  'core/src/router/envelope.ts': [...ROUTER, 'core/fleet/forwarding'],
  'plugin-sdk/protocol/src/envelope.ts': [...ROUTER, 'core/fleet/forwarding'],
  'core/src/router/repeat.ts': ROUTER,
  'core/src/router/ladder.ts': ROUTER,
  'plugin-sdk/protocol/src/channel/aead.ts': CHANNEL,
  'plugin-sdk/protocol/src/channel/handshake.ts': CHANNEL,
  'plugin-sdk/protocol/src/channel/join.ts': [...CHANNEL, 'core/doors/join'],
  'plugin-sdk/protocol/src/channel/keys.ts': [...CHANNEL, 'core/doors/keys'],
  'plugin-sdk/protocol/src/channel/records.ts': CHANNEL,
  'core/src/doors/admission.ts': DOORS,
  'core/src/doors/session.ts': DOORS,
  'core/src/doors/sessions.ts': DOORS,
};

/** What the command mutates where it is told no files: not the doors, whose tests open sockets and take hours. */
export const BY_DEFAULT = Object.keys(SUBJECTS).filter((subject) => !subject.startsWith('core/src/doors/'));
