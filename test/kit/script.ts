import fc from 'fast-check';

export const PEERS = { root: ['admin'], alice: ['client'], bob: ['client'] } as const;
export type Who = keyof typeof PEERS;

/** What a step is followed by: `ends` waits for the end of its token, `stays` leaves it open. */
type Rest = 'ends' | 'stays';

/** One message of a script. Tokens and other names are numbers, which each run makes its own. */
export interface Step {
  readonly who: Who;
  readonly action: string;
  /** Which token; `new` one, or an earlier one by how far back it is. */
  readonly token: 'new' | number;
  readonly target: string;
  /** Strings of the form `<token:2>`, `<gate:1>`, `<word:ada>` are replaced by names of the run. */
  readonly data: unknown;
  readonly rest: Rest;
  /** The whole message, where that is malformed. */
  readonly raw?: string;
  /** Says an earlier step again, by how far back it is, in place of the above: as it was, or with something else in it. */
  readonly again?: { readonly back: number; readonly how: 'same' | 'reordered' | 'changed' };
}

/** The same DATA with its keys in another order. */
export function reordered(data: unknown): unknown {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return data;
  return Object.fromEntries(Object.entries(data).reverse());
}

/** Other DATA that the same action takes. */
export function changed(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  const [first, ...rest] = Object.entries(data);
  if (!first) return { a: 2 };
  const [key, value] = first;
  if (typeof value === 'number') return { ...data, [key]: value + 1 };
  if (typeof value === 'boolean') return { ...data, [key]: !value };
  if (value === '<gate:0>' || value === '<word:a>')
    return { ...data, [key]: value.replace('0', '1').replace(':a', ':b') };
  return { [key]: value, ...(changed(Object.fromEntries(rest)) as object) };
}

const who = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Who>('alice') },
  { weight: 2, arbitrary: fc.constant<Who>('root') },
  { weight: 1, arbitrary: fc.constant<Who>('bob') },
);
const token = fc.oneof(
  { weight: 7, arbitrary: fc.constant('new' as const) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }) },
);
/** The name of a token that may have been used: an earlier one, one that is used later, or nobody's. */
const named = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 8 }).map((at) => `<token:${at}>`) },
  { weight: 1, arbitrary: fc.constant('<token:nobody>') },
  { weight: 1, arbitrary: fc.constant('actor:<token:reserved>') },
);
const gate = fc.integer({ min: 0, max: 1 }).map((at) => `<gate:${at}>`);
const target = fc.oneof(
  { weight: 12, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constant('test') },
  { weight: 1, arbitrary: fc.constant('nowhere') },
);
const word = fc.constantFrom('<word:a>', '<word:b>', '<word:much-too-long-for-its-schema>');
const small = fc.oneof(
  fc.constant({}),
  fc.constant({ a: 1 }),
  fc.constant({ a: 1, b: [null, 'x'] }),
  fc.constant({ b: [null, 'x'], a: 1 }),
  fc.constant({ text: 'Grüße, \u2028 "and" \\' }),
);
const end = fc.constantFrom('done', 'throw', 'refuse', 'code', 'output');
const code = fc.constantFrom(-1, 0, 1, 2, 3, 9, 10, 50, 99, 1.5);

const quick = fc.oneof(
  small.map((data) => ['ECHO', data] as const),
  fc.record({ rows: fc.integer({ min: -1, max: 3 }), end }).map((data) => ['STEPS', data] as const),
  fc.constantFrom<readonly [string, object]>(['WHO', {}], ['ADMINS', {}], ['INSIDE', {}], ['ADMINS', { extra: 1 }]),
  gate.map((name) => ['OPEN', { gate: name }] as const),
  word.map((said) => ['TELL', { word: said }] as const),
  fc.constant(['WORDS', { prefix: '<word:>' }] as const),
  named.map((name) => ['READ', { token: name }] as const),
  fc.record({ token: named, code, data: small }).map((data) => ['PUT', data] as const),
  fc.record({ key: word, value: small }).map((data) => ['KEEP', data] as const),
  fc.constant(['KEPT', { prefix: '<word:>' }] as const),
  named.map((name) => ['CANCEL', { token: name }] as const),
  fc.constantFrom<readonly [string, object]>(['NOSUCHACTION', {}], ['STEPS', {}], ['STEPS', { rows: 'two' }]),
  // Silent: whether a row comes before the end of its time is a matter of luck.
  gate.map((name) => ['IDLE', { gate: name, $: { deadline: 1 } }] as const),
);

const answered = fc.oneof(
  fc.constantFrom('done', 'throw', 'refuse', 'output', 'row', 'other').map((how) => ['ASK', { end: how }] as const),
  fc.constantFrom<readonly [string, object]>(['PING', {}], ['GETLOG', {}], ['FOLLOW', {}], ['GETSTATE', { key: 'a' }]),
  fc.record({ token: named }).map((data) => ['GETLOG', data] as const),
  fc.record({ token: named, limit: fc.integer({ min: 0, max: 3 }) }).map((data) => ['GETLOG', data] as const),
  fc.record({ token: named }).map((data) => ['FOLLOW', data] as const),
  fc.record({ token: named, code, data: small }).map((data) => ['PUTLOG', data] as const),
);

const gated = fc.oneof(
  fc.record({ gate, deaf: fc.boolean() }).map((data) => ['HOLD', data] as const),
  gate.map((name) => ['AGAIN', { gate: name }] as const),
  named.map((name) => ['WATCH', { token: name }] as const),
);

const relayed = fc
  .record({ inner: fc.oneof(quick, answered), how: fc.constantFrom('call', 'send'), token: named, target })
  // What answers in the ACK has no end that a call could wait for, and a gate may never open.
  .filter(({ inner: [action] }) => !['IDLE', 'FOLLOW'].includes(action))
  .filter(({ inner, how }) => how === 'send' || !answeredNames.has(inner[0]))
  .map(({ inner: [action, data], how, token: name, target: node }) => {
    return ['RELAY', { how, action, data, token: name, ...(node !== '' && { target: node }) }] as const;
  });
const answeredNames = new Set(['ASK', 'PING', 'GETLOG', 'FOLLOW', 'PUTLOG', 'GETSTATE']);

const envelope = fc.constantFrom<object>(
  ...[{ $: {} }, { $: { hold: true } }, { $: { hold: 1 } }, { $: { from: 'bob' } }, { $: { hops: [] } }],
  ...[{ $: 5 }, { $: { deadline: 1.5 } }, { $: { what: 1 } }, { $: { deadline: 33_000_000_000 } }],
);

function step(of: fc.Arbitrary<readonly [string, object]>, rest: Rest): fc.Arbitrary<Step> {
  return fc
    .record({ who, token, target, what: of, more: fc.option(envelope, { freq: 12, nil: {} }) })
    .map(({ what: [action, data], more, ...others }) => ({ ...others, action, data: { ...more, ...data }, rest }));
}

const malformed: fc.Arbitrary<Step> = fc
  .record({
    who,
    raw: fc.constantFrom(
      ...[
        '',
        'hello',
        '[echo] [t] [] {}',
        '[ECHO] [a b] [] {}',
        '[ECHO] [t]',
        '[ECHO] [t] [] []',
        '[ECHO] [t] [] {"a":',
      ],
      ...['[ECHO] [t] [no/de] {}', '[ECHO] [t] [] 5', '[ECHO] [t] [] {"__proto__":{}}', '[KILL] [t] [] [actor]'],
      ...[`[ECHO] [t] [] {"a":${'['.repeat(40)}${']'.repeat(40)}}`, `[ECHO] [t] [] {"a":[${'0,'.repeat(50_001)}0]}`],
    ),
  })
  .map((one) => ({ ...one, action: '', token: 'new' as const, target: '', data: {}, rest: 'ends' as const }));

const again: fc.Arbitrary<Step> = fc
  .record({
    who,
    again: fc.record({
      back: fc.integer({ min: 0, max: 3 }),
      how: fc.constantFrom<('same' | 'reordered' | 'changed')[]>('same', 'reordered', 'changed'),
    }),
  })
  .map((one) => ({ ...one, action: '', token: 'new' as const, target: '', data: {}, rest: 'ends' as const }));

const kill: fc.Arbitrary<Step> = fc
  .record({
    who: fc.constantFrom<Who>('root', 'root', 'root', 'alice'),
    data: fc.constantFrom({ type: 'actor' }, { type: 'actor', id: '1' }, { type: 'actor', id: '2' }, { type: 'none' }),
  })
  .map((one) => ({ ...one, action: 'KILL', token: 'new' as const, target: '', rest: 'ends' as const }));

const brief = gate.map((name) => ['BRIEF', { gate: name }] as const);

/** A script: what peers ask, one after the other. Of a thousand steps, `slow` are a KILL, and `slow` wait for a time limit. */
export function scripts(slow: number): fc.Arbitrary<Step[]> {
  return fc.array(
    fc.oneof(
      { weight: 400, arbitrary: step(quick, 'ends') },
      { weight: 180, arbitrary: step(answered, 'ends') },
      { weight: 200, arbitrary: step(gated, 'stays') },
      { weight: 140, arbitrary: step(relayed, 'ends') },
      { weight: 60, arbitrary: malformed },
      { weight: 200, arbitrary: again },
      { weight: slow, arbitrary: kill },
      { weight: slow, arbitrary: step(brief, 'ends') },
    ),
    { minLength: 1, maxLength: 12 },
  );
}
