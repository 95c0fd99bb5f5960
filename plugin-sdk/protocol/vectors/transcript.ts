/** transcript.json: whole sessions with every key, secret and plaintext. */
import { hkdfSync } from 'node:crypto';
import { failure } from '@centreond/protocol';
import { b64, type Cipher, H, joinKeyOf, Sealer, type TrafficKey } from '@centreond/protocol/channel';
import {
  client,
  fixedAuth,
  fixedHello,
  fixedKey,
  fixedSecrets,
  hex,
  JOIN_TOKEN,
  labelled,
  NOW,
  router,
} from './fixed-handshake.ts';

/** Each sealer takes new keys after so many records; a real one after 2^20, an hour, or whenever it likes. */
const RECORDS_PER_EPOCH = 4;

interface Step {
  from: 'client' | 'router';
  what: string;
  messages: readonly string[];
}

const at = NOW / 1000;
const row = (id: number, code: number, data: object): object => {
  return { id, token: 'job-1', type: 'COMMAND', node: 'central', code, etime: at, ctime: at, data };
};
const ROWS = [
  row(2, 0, { owner: 'ops', target: '' }),
  row(3, 100, { stream: 'stdout', chunk: 'hé 雪\n' }),
  row(4, 2, { exitCode: 0, signal: null, stdout: 'hé 雪\n', stderr: '', truncated: false }),
];
const accepted = (token: string, data: object = {}): string => `[ACK] [${token}] ${JSON.stringify({ code: 0, data })}`;
const about = { id: 'central', hostname: 'central.example', version: '1.0.0' };

function welcome(identity: string, roles: string[]): Step {
  const data = { id: 'central', identity, roles, version: '1.0.0', maxMessage: 16_777_216 };
  return { from: 'router', what: 'the welcome: the session lives', messages: [accepted('', data)] };
}

function dialogue(auth: string): Step[] {
  const pong = (token: string) => `[PONG] [${token}] [] ${JSON.stringify({ code: 0, data: about })}`;
  return [
    { from: 'client', what: 'AUTH, and a first request in the same record', messages: [auth, '[PING] [p-1] [] {}'] },
    welcome('ops', ['client']),
    { from: 'router', what: 'the answer to the PING', messages: [pong('p-1')] },
    {
      from: 'client',
      what: 'a request, and the wish to follow it',
      messages: ['[COMMAND] [job-1] [] {"command":["echo","hé 雪"]}', '[FOLLOW] [f-1] [] {"token":"job-1"}'],
    },
    { from: 'router', what: 'both accepted', messages: [accepted('job-1'), accepted('f-1')] },
    {
      from: 'router',
      what: 'the rows of the request, the last one terminal; text is UTF-8',
      messages: ROWS.map((one) => `[LOG] [job-1] ${JSON.stringify(one)}`),
    },
    { from: 'client', what: 'an empty record', messages: [] },
    { from: 'client', what: 'history: the stored rows of a token', messages: ['[GETLOG] [g-1] [] {"token":"job-1"}'] },
    {
      from: 'router',
      what: 'one page, the last one; the first record under new keys of the router',
      messages: [accepted('g-1', { action: 'getlog', id: 'central', result: ROWS, more: false })],
    },
    {
      from: 'client',
      what: 'a request that is refused; the first record under new keys of the client',
      messages: ['[NO_SUCH] [n-1] []'],
    },
    {
      from: 'router',
      what: 'the refusal',
      messages: [
        `[ACK] [n-1] ${JSON.stringify({
          code: 1,
          data: failure('UNKNOWN_ACTION', { action: 'NO_SUCH', near: undefined }).toData(),
        })}`,
      ],
    },
    { from: 'client', what: 'a PING of an idle client', messages: ['[PING] [p-2] [] {}'] },
    { from: 'router', what: 'its answer', messages: [pong('p-2')] },
    {
      from: 'client',
      what: 'many messages in one record',
      messages: Array.from({ length: 3 }, (_, i) => `[PING] [m-${i}] [] {}`),
    },
    { from: 'client', what: 'one more', messages: ['[PING] [p-3] [] {}'] },
    { from: 'client', what: 'the second change of keys', messages: ['[PING] [p-4] [] {}'] },
    { from: 'router', what: 'the router stops', messages: ['[BYE] [] [] {"reason":"STOPPING"}'] },
  ];
}

/** One direction as the transcript tells it: the real sealer, and beside it the keys that it must be using. */
class Told {
  readonly #sealer: Sealer;
  readonly #direction: 1 | 2;
  readonly #session: Buffer;
  #key: Buffer;
  #iv: Buffer;
  #epoch = 0;
  #seq = 0;

  constructor(keys: TrafficKey, cipher: Cipher, direction: 1 | 2, session: Buffer) {
    this.#direction = direction;
    this.#session = session;
    this.#sealer = new Sealer(keys, cipher, direction, session, {
      records: RECORDS_PER_EPOCH,
      milliseconds: Number.POSITIVE_INFINITY,
    });
    this.#key = Buffer.from(keys.key);
    this.#iv = Buffer.from(keys.iv);
  }

  seal({ from, what, messages }: Step) {
    if (this.#seq === RECORDS_PER_EPOCH) {
      const update = (name: string, length: number) =>
        Buffer.from(hkdfSync('sha256', this.#key, Buffer.alloc(0), `centreond/1 update ${name}`, length));
      [this.#key, this.#iv] = [update('key', 32), update('iv', 12)];
      this.#epoch++;
      this.#seq = 0;
    }
    const frame = this.#sealer.seal(messages);
    const header = frame.subarray(0, 12);
    const nonce = Buffer.from(this.#iv);
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ this.#seq) >>> 0, 8);
    const plaintext = Buffer.concat(
      messages.flatMap((message) => {
        const length = Buffer.alloc(4);
        length.writeUInt32BE(Buffer.byteLength(message));
        return [length, Buffer.from(message)];
      }),
    );
    return {
      what,
      from,
      direction: this.#direction,
      epoch: this.#epoch,
      seq: this.#seq++,
      messages,
      plaintext_hex: hex(plaintext),
      key_hex: hex(this.#key),
      iv_hex: hex(this.#iv),
      nonce_hex: hex(nonce),
      aad_hex: hex(Buffer.concat([header, this.#session])),
      frame_hex: hex(frame),
    };
  }
}

function session(name: string, cipher: Cipher, identity: string, token?: string) {
  const seed = `transcript, ${name}`;
  const joinKey = token === undefined ? undefined : joinKeyOf(token);
  const hello = fixedHello({ seed, identity, joinKey });
  const key = fixedKey(hello, { cipher });
  const { th, shared, keys } = fixedSecrets(hello, key);
  const auth = fixedAuth(seed, th);
  const told = {
    client: new Told(keys.c2s, cipher, 1, key.session),
    router: new Told(keys.s2c, cipher, 2, key.session),
  };
  const steps = joinKey
    ? [
        { from: 'client', what: 'AUTH; the token is used up when it is verified', messages: [auth.message] } as const,
        welcome(identity, ['node']),
      ]
    : dialogue(auth.message);
  const h1 = H(hello.body);
  const h2 = H(hello.frame, key.body);
  return {
    name,
    cipher,
    identity,
    ...(joinKey && { join_token: token, join_key_hex: hex(joinKey) }),
    hello: {
      s1_hex: hex(hello.s1),
      x25519_private_hex: hex(hello.x25519),
      box_plaintext_hex: hex(hello.boxPlaintext),
      oaep_label: 'centreond/1 HELO',
      oaep_seed_hex: hex(hello.boxSeed),
      body: hello.body.toString(),
      H_body_hex: hex(h1),
      signed_hex: hex(labelled('client helo', h1)),
      pss_salt_hex: hex(hello.salt),
      signature_hex: hex(hello.signature),
      ...(hello.mac && { join_mac_hex: hex(hello.mac) }),
      m1: hello.frame,
    },
    key: {
      x25519_private_hex: hex(key.x25519),
      session_hex: hex(key.session),
      body: key.body.toString(),
      H_m1_body_hex: hex(h2),
      signed_hex: hex(labelled('router key', h2)),
      pss_salt_hex: hex(key.salt),
      signature_hex: hex(key.signature),
      ...(key.mac && { join_mac_hex: hex(key.mac) }),
      m2: key.frame,
    },
    secrets: {
      th_hex: hex(th),
      x25519_secret_hex: hex(shared),
      ikm_hex: hex(Buffer.concat([shared, hello.s1])),
      c2s_key_hex: hex(keys.c2s.key),
      c2s_iv_hex: hex(keys.c2s.iv),
      s2c_key_hex: hex(keys.s2c.key),
      s2c_iv_hex: hex(keys.s2c.iv),
    },
    auth: {
      signed_hex: hex(labelled('client auth', th)),
      pss_salt_hex: hex(auth.salt),
      signature_hex: hex(auth.signature),
      message: auth.message,
    },
    records: steps.map((step) => told[step.from].seal(step)),
  };
}

/** The whole transcript. The same on every call. */
export function transcript() {
  const spki = router.keys.publicKey.export({ type: 'spki', format: 'der' });
  return {
    note: 'Whole sessions of PROTOCOL.md section 5 with all keys, for people who implement it. Written by `npm run docs`. The keys, salts and seeds are for tests only: a real client takes them from its random source. `H`, `th`, `ikm` and the names of keys are those of the protocol; signed_hex is what PSS signs, aad_hex is header and session. An early change of keys is allowed: here each side takes new ones after 4 records.',
    now_ms: NOW,
    router: { private_key_pem: router.pem, jwk: router.keys.jwk, thumbprint: router.keys.thumbprint },
    client: { private_key_pem: client.pem, jwk: client.keys.jwk, thumbprint: client.keys.thumbprint },
    in_clear: { request: '[GETPUBKEY]', answer: `[PUBKEY] [${b64(spki)}]`, spki_hex: hex(spki) },
    sessions: [
      session('chacha20-poly1305', 'chacha20-poly1305', 'ops'),
      session('aes-256-gcm', 'aes-256-gcm', 'ops'),
      session('enrolment with a join token', 'chacha20-poly1305', 'paris-1', JOIN_TOKEN),
    ],
  };
}
