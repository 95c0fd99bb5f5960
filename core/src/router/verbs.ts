import { reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Peer, PeerRole } from './peer.ts';

/** Takes one message of a peer. Never throws. */
export type Receive = (peer: Peer, message: Buffer) => void;

/** Takes a message that begins with its verb. Returns false if the message is not for it: the ladder takes it then. */
export type VerbHandler = (peer: Peer, message: Buffer, receive: Receive) => boolean;

const LONGEST_VERB = 66;

/**
 * The first step of every message: its verb is decoded once and looked up. Messages of links (acknowledgements, events that
 * were heard, carried requests) have handlers; all others are requests and go to the ladder.
 */
export class Verbs {
  readonly #handlers = new Map<string, { readonly role: PeerRole | undefined; readonly handler: VerbHandler }>();
  /** Messages whose handler threw. */
  failures = 0;

  constructor(private readonly log: Log) {}

  /** Registers the handler of a verb, for peers with `role` only, or for all. Throws if the verb is taken. */
  on(verb: string, role: PeerRole | undefined, handler: VerbHandler): void {
    if (this.#handlers.has(verb)) throw new Error(`the verb ${verb} has a handler already`);
    this.#handlers.set(verb, { role, handler });
  }

  /** Hands `message` to its verb's handler. Returns false if it is a request. Never throws. */
  receive(peer: Peer, message: Buffer, receive: Receive): boolean {
    const entry = this.#handlers.get(verbOf(message));
    if (!entry || (entry.role !== undefined && !peer.roles.has(entry.role))) return false;
    try {
      return entry.handler(peer, message, receive);
    } catch (error) {
      this.failures++;
      const what = `a message [${verbOf(message)}] of ${peer.identity} was dropped: ${reasonOf(error)}`;
      this.log.warn({ err: error, peer: peer.identity }, what);
      return true;
    }
  }
}

function verbOf(message: Buffer): string {
  const end = message.subarray(0, LONGEST_VERB).indexOf(0x5d);
  return end < 0 ? '' : message.toString('latin1', 1, end);
}
