// The mutants that no test can kill, with the reason. Named as the command prints them.
export interface Reason {
  readonly because: string;
  readonly mutants: readonly string[];
}

export const ACCEPTED: Readonly<Record<string, readonly Reason[]>> = {
  'core/src/router/ladder.ts': [
    { because: 'the token is set before anything can throw', mutants: [`'' → "Stryker was here!"`] },
    { because: 'deletes a key that is not there', mutants: ['$ !== undefined → true'] },
    {
      because: 'a request that has ended is not submitted, and not ended again: both are checked where that is done',
      mutants: ["open.state === 'ended' → false", `'ended' → ""`],
    },
    {
      because: 'the two groups match together or not at all, and an undefined action is registered nowhere',
      mutants: [
        '[] → ["Stryker was here"]',
        'action === undefined || token === undefined → false',
        'action === undefined || token === undefined → action === undefined && token === undefined',
        'action === undefined → false',
        'token === undefined → false',
      ],
    },
  ],
  'plugin-sdk/protocol/src/envelope.ts': [
    { because: 'Number.isInteger is false for what is no number', mutants: ["typeof deadline !== 'number' → false"] },
  ],
  'core/src/router/repeat.ts': [
    { because: 'saves time: two equal texts are parsed to equal values', mutants: ['a === b → false'] },
  ],
  'plugin-sdk/protocol/src/channel/aead.ts': [
    { because: 'a function without a return returns undefined', mutants: ['{ return undefined; } → {}'] },
  ],
  'plugin-sdk/protocol/src/channel/handshake.ts': [
    { because: 'nothing was assigned when JSON.parse threw', mutants: ['{ fields = undefined; } → {}'] },
    {
      because: 'what has no text `s` throws in the next line, and that is the same answer',
      mutants: [
        "typeof fields !== 'object' || fields === null || !('s' in fields) → false",
        "typeof fields !== 'object' || fields === null || !('s' in fields) → (typeof fields !== 'object' || fields === null) && !('s' in fields)",
        "typeof fields !== 'object' || fields === null → false",
        "typeof fields !== 'object' || fields === null → typeof fields !== 'object' && fields === null",
        "typeof fields !== 'object' → false",
        'fields === null → false',
      ],
    },
  ],
  'plugin-sdk/protocol/src/channel/keys.ts': [
    { because: 'Buffer.byteLength takes bytes, too', mutants: ["typeof item === 'string' → true"] },
    {
      because: 'every RSA key of node:crypto has details and a modulus; the types do not say so',
      mutants: [
        'key.asymmetricKeyDetails?.modulusLength → key.asymmetricKeyDetails.modulusLength',
        'key.asymmetricKeyDetails?.publicExponent → key.asymmetricKeyDetails.publicExponent',
        'n === undefined → false',
        "{ reason: 'it has no modulus' } → {}",
      ],
    },
    {
      because: 'no key is known that passes every check and that OpenSSL refuses to load',
      mutants: [
        "{ throw failure('BROKEN_KEY', { reason: reasonOf(error) }); } → {}",
        `'BROKEN_KEY' → ""`,
        '{ reason: reasonOf(error) } → {}',
      ],
    },
    { because: 'the CryptoKey is not handed out, so nobody can export it', mutants: ['false → true'] },
  ],
  'plugin-sdk/protocol/src/channel/records.ts': [
    { because: 'stands in a branch where both differ', mutants: ['seq < next → seq <= next'] },
    {
      because: 'a seq of 2^32 or more is refused either way: as used up, or as a fraction that is not the next one',
      mutants: ['frame.readUInt32BE(4) * 2 ** 32 → frame.readUInt32BE(4) / 2 ** 32'],
    },
  ],
};
