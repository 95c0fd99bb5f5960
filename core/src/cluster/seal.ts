import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { parseJson } from '@centreond/protocol';
import { z } from 'zod';

const MAC_BYTES = 32;
/** What a message takes beside its body, at most. */
export const SEALED_BYTES = 1024;

const Head = z.strictObject({
  from: z.string(),
  /** Which process of that router it is: each later one has a higher number. */
  process: z.int(),
  /** Ascends with each message of a process: microseconds by the database's clock, or one more than the last. */
  sent: z.int(),
  /** `hello` says nothing: NATS takes it, or refuses it. */
  kind: z.enum(['ask', 'answer', 'tell', 'hello']),
  what: z.string(),
  number: z.int(),
  /** Of an answer: the process that asked. */
  asker: z.int(),
  part: z.int().nonnegative(),
  parts: z.int().positive(),
});
export type Head = z.output<typeof Head>;

/** What a router says itself of a message; the rest of the head is added to it. */
export type Said = Omit<Head, 'from' | 'process' | 'sent'>;

export interface SealOptions {
  /** This router's id. */
  readonly id: string;
  /** Which process of it this is: each later one has a higher number. */
  readonly process: number;
  /** What only the routers of the cluster know. */
  readonly secret: string;
  /** Milliseconds since the epoch by the clock of the database, which all routers share. */
  now(): number;
}

/** `foreign`: by nobody who knows the secret, or for another subject. `repeated`: heard before, or older. `unread`: of another version. */
export type Dropped = 'foreign' | 'repeated' | 'unread';

/** The newest that was heard of a router. */
interface Heard {
  process: number;
  readonly sent: Map<string, number>;
}

/**
 * Marks messages so that the routers of the cluster know them, and nobody else can make, change, redirect or repeat one. A message is
 * an HMAC-SHA256 over the subject and all that follows it, the head as a line of JSON, and the body. It is not encrypted.
 */
export class Seal {
  readonly #options: SealOptions;
  readonly #key: KeyObject;
  readonly #heard = new Map<string, Heard>();
  /** What was sent before this process began, an earlier one may have heard. */
  readonly #began: number;
  #sent = 0;

  constructor(options: SealOptions) {
    this.#options = options;
    this.#key = createSecretKey(Buffer.from(options.secret));
    this.#began = this.#time();
  }

  seal(subject: string, said: Said, body: Buffer): Buffer {
    const { id: from, process } = this.#options;
    this.#sent = Math.max(this.#sent + 1, this.#time());
    const head: Head = { from, process, sent: this.#sent, ...said };
    const rest = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body]);
    return Buffer.concat([this.#mac(subject, rest), rest]);
  }

  /** Opens a message that was heard on `subject`. */
  open(subject: string, message: Buffer): { readonly head: Head; readonly body: Buffer } | Dropped {
    const rest = message.subarray(MAC_BYTES);
    if (message.length <= MAC_BYTES || !timingSafeEqual(message.subarray(0, MAC_BYTES), this.#mac(subject, rest))) {
      return 'foreign';
    }
    const end = rest.indexOf('\n');
    const { success, data: head } = Head.safeParse(parsed(rest.subarray(0, Math.max(end, 0)).toString()));
    if (!success) return 'unread';
    return this.#isNew(subject, head) ? { head, body: rest.subarray(end + 1) } : 'repeated';
  }

  /** NATS keeps the order of what a process sends on a subject. */
  #isNew(subject: string, { from, process, sent }: Head): boolean {
    if (from === this.#options.id) return false;
    let heard = this.#heard.get(from);
    if (heard && process < heard.process) return false;
    const isLater = heard !== undefined && process > heard.process;
    // A later process has a number that none before it had: its messages are new whatever the clocks said.
    const least = isLater ? 0 : (heard?.sent.get(subject) ?? this.#began);
    if (sent <= least) return false;
    if (!heard || isLater) {
      heard = { process, sent: new Map() };
      this.#heard.set(from, heard);
    }
    heard.sent.set(subject, sent);
    return true;
  }

  #mac(subject: string, rest: Buffer): Buffer {
    return createHmac('sha256', this.#key).update(`${subject}\n`).update(rest).digest();
  }

  #time(): number {
    return Math.floor(this.#options.now() * 1000);
  }
}

function parsed(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
