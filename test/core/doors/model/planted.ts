import type { Planted } from './modules.ts';
import type { Promised } from './promises.ts';

/** A fault that the model must find, and the promise that it breaks. */
export interface PlantedFault extends Planted {
  readonly fault: string;
  readonly breaks: Promised;
}

const RECORDS = 'plugin-sdk/protocol/dist/channel/records.js';
const AEAD = 'plugin-sdk/protocol/dist/channel/aead.js';
const SESSIONS = 'core/dist/doors/sessions.js';
const SESSION = 'core/dist/doors/session.js';
const ADMISSION = 'core/dist/doors/admission.js';

export const PLANTED: readonly PlantedFault[] = [
  {
    fault: 'a record is opened whatever its place',
    module: RECORDS,
    from: 'if (seq !== next)',
    to: 'if (false)',
    breaks: 'intact',
  },
  {
    fault: 'a sealer does not count',
    module: RECORDS,
    from: 'this.#seq = seq + 1;\n        this.#traffic.seal',
    to: 'this.#traffic.seal',
    breaks: 'nonce',
  },
  {
    fault: 'a sealer begins a new epoch with the old keys',
    module: RECORDS,
    from: 'this.#traffic = this.#traffic.next();\n            this.#seq = 0;',
    to: 'this.#seq = 0;',
    breaks: 'nonce',
  },
  {
    fault: 'the tag of a record is not verified',
    module: AEAD,
    from: 'decipher.final();',
    to: '',
    breaks: 'intact',
  },
  {
    fault: 'a wrong AUTH is as good as a right one',
    module: SESSIONS,
    from: "(proved ? undefined : 'its AUTH is wrong')",
    to: '(undefined)',
    breaks: 'auth',
  },
  {
    fault: 'an AUTH is taken after any time',
    module: SESSIONS,
    from: 'if (clock.monotonic() - pending.since <= limits.pendingMs)',
    to: 'if (true)',
    breaks: 'auth',
  },
  {
    fault: 'the first record acts before its AUTH is verified',
    module: SESSIONS,
    from: 'caller.proving = true;',
    to: 'caller.proving = true; for (const message of messages) this.options.io.receive({ identity: pending.grant.identity, open: true }, message);',
    breaks: 'auth',
  },
  {
    fault: 'a HELO ends the live session of its identity',
    module: SESSIONS,
    from: 'this.#forget(caller.pending);\n        const { clock, limits }',
    to: `{ const old = this.#byIdentity.get(admitted.grant.identity); if (old) this.#end(old.caller, old.session, 'a newer session of its identity began', 'REPLACED'); }
        this.#forget(caller.pending);
        const { clock, limits }`,
    breaks: 'survives',
  },
  {
    fault: 'a first record that does not open ends the live session of its connection',
    module: SESSIONS,
    from: '#fail({ caller, hello, grant }, cause) {',
    to: '#fail({ caller, hello, grant }, cause) { if (caller.live) this.#end(caller, caller.live, cause);',
    breaks: 'survives',
  },
  {
    fault: 'the older session of an identity lives on',
    module: SESSIONS,
    from: 'if (older)\n',
    to: 'if (false)\n',
    breaks: 'oneLive',
  },
  {
    fault: 'the older session of a connection lives on',
    module: SESSIONS,
    from: "if (caller.live)\n            this.#end(caller, caller.live, 'a newer session of its connection began'",
    to: "if (false)\n            this.#end(caller, caller.live, 'a newer session of its connection began'",
    breaks: 'oneLive',
  },
  {
    fault: 'a HELO may be replayed',
    module: ADMISSION,
    from: "if (nonce === 'seen')",
    to: 'if (false)',
    breaks: 'cheap',
  },
  {
    fault: 'a box is opened whatever the signature',
    module: ADMISSION,
    from: 'if (!isSigned)',
    to: 'if (false)',
    breaks: 'cheap',
  },
  {
    fault: 'a HELO may be of any time',
    module: ADMISSION,
    from: 'if (Math.abs(skew) > CLOCK_SKEW)',
    to: 'if (false)',
    breaks: 'cheap',
  },
  {
    fault: 'a HELO for another router is taken',
    module: ADMISSION,
    from: 'if (hello.sid !== routerKeys.thumbprint)',
    to: 'if (false)',
    breaks: 'cheap',
  },
  {
    fault: 'a HELO may name the key of another',
    module: ADMISSION,
    from: 'if (hello.thumbprint !== cid)',
    to: 'if (false)',
    breaks: 'cheap',
  },
  {
    fault: 'a key may begin any number of handshakes',
    module: ADMISSION,
    from: '!this.#rate.take(cid, clock.monotonic())',
    to: 'false',
    breaks: 'cheap',
  },
  {
    fault: 'a key may take the identity of another',
    module: ADMISSION,
    from: 'if (opened.identity !== identity)',
    to: 'if (false)',
    breaks: 'cheap',
  },
  {
    fault: 'a session of a revoked key lives on',
    module: SESSIONS,
    from: 'if (session.grant.fingerprint === fingerprint)',
    to: 'if (false)',
    breaks: 'revoked',
  },
  {
    fault: 'a key that is revoked while its AUTH is verified gets a session',
    module: SESSIONS,
    from: 'const grant = this.options.trust.lookup(pending.hello.cid);',
    to: 'const grant = pending.grant;',
    breaks: 'revoked',
  },
  {
    fault: 'a revoked key still gets what waits for it',
    module: SESSIONS,
    from: "if (reason === 'REVOKED' || ",
    to: 'if (',
    breaks: 'revoked',
  },
  {
    fault: 'a session that was revoked by a message hears the rest of its record',
    module: SESSION,
    from: 'i < messages.length && this.open',
    to: 'i < messages.length',
    breaks: 'revoked',
  },
  {
    fault: 'a session forgets some of what it is told',
    module: 'core/dist/doors/outbox.js',
    from: 'this.#messages.push(text);',
    to: 'if (this.#messages.length < 2) this.#messages.push(text);',
    breaks: 'works',
  },
  {
    fault: 'a paused connection stays paused after a wrong AUTH',
    module: SESSIONS,
    from: 'caller.connection.resume();',
    to: 'if (caller.live) caller.connection.resume();',
    breaks: 'works',
  },
];
