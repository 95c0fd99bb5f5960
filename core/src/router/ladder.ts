import {
  type CentreondError,
  decodeText,
  FrameError,
  failure,
  formatAck,
  isCentreondError,
  type JsonObject,
  newToken,
  parseData,
  parseMessage,
  reasonOf,
} from '@centreond/plugin-sdk';
import { unknownHere } from '../fleet/departure.ts';
import type { Answer, Asked } from '../host/plugin-host.ts';
import type { Accepted, RequestRecord } from '../store/token-store.ts';
import { actsForAll, refusalFor } from './authorize.ts';
import { type Envelope, ownerOf, readEnvelope } from './envelope.ts';
import type { Peer } from './peer.ts';
import type { RegisteredAction } from './registry.ts';
import { OpenRequest } from './request.ts';
import type { RouterOptions } from './requests.ts';

/** Requests accepted and not ended, in all. */
const OPEN_LIMIT = 200_000;
/** How long a request may wait for its plugin where its caller set no deadline. */
export const WAIT_LIMIT_MS = 24 * 3600 * 1000;

export interface AcceptanceOptions extends RouterOptions {
  /** The requests that are open, by token: those that are accepted here are entered. */
  readonly open: Map<string, OpenRequest>;
  /** A request that is not to run after all. */
  close(open: OpenRequest): void;
}

/** The ladder of a request, up to its ACK: parse → known → authorise → target → validate → record → acknowledge → dispatch. */
export class Acceptance {
  readonly #open: Map<string, OpenRequest>;
  #stopping = false;

  constructor(readonly options: AcceptanceOptions) {
    this.#open = options.open;
  }

  /** Accepts no request from now on; what repeats an accepted one is answered still. */
  stop(): void {
    this.#stopping = true;
  }

  /** Takes one message of a peer. Never throws: what is wrong with it is the peer's answer. */
  receive(peer: Peer, bytes: Buffer): void {
    let token = '';
    try {
      if (bytes.length > this.options.maxMessage) {
        token = tokenOf(bytes);
        throw failure('TOO_LARGE', { bytes: bytes.length, limit: this.options.maxMessage });
      }
      const message = parseMessage(decodeText(bytes));
      token = message.token;
      const { $, ...data } = parseData(message.data, token);
      this.options.telemetry.received++;
      this.#take(peer, message.action, token, message.target, data, $);
    } catch (error) {
      this.#refuse(peer, error instanceof FrameError ? error.token : token, error);
    }
  }

  #take(peer: Peer, name: string, token: string, target: string, data: JsonObject, $: unknown): void {
    const { registry, forwarding, id } = this.options;
    const local = registry.get(name);
    const here = local?.manifest.runs === 'here';
    const elsewhere = !sameTarget(target, '', id) && !here;
    if (!local && !(elsewhere && forwarding.mayKnow(name, target))) {
      throw failure('UNKNOWN_ACTION', { action: name, near: registry.near(name) });
    }
    const refusal = refusalFor(peer, local ?? unknownHere(name), target === '' ? id : target, elsewhere);
    if (refusal) throw refusal;
    if (!elsewhere && !sameTarget(target, '', id) && !forwarding.knows(target)) {
      throw failure('UNKNOWN_TARGET', { target, router: id });
    }
    const envelope = this.#envelopeOf($, peer, name, elsewhere ? target : '');
    // The node checks DATA by the schema of its own version.
    const action = elsewhere || !local ? forwarding.action(name, target, envelope, local) : local;
    const fault = action.fault(data);
    if (fault) throw failure('INVALID_DATA', { action: name, reason: fault });
    // What runs here works on another node, or on none.
    const on = here && sameTarget(target, '', id) ? '' : target;
    if (action.manifest.reply === 'ack') this.#ask(peer, action, data, { token, target: on, envelope });
    else this.#request(peer, action, token, on, data, envelope);
  }

  /** Reads `$`, which is DATA: a TARGET that will not do is told first. */
  #envelopeOf($: unknown, peer: Peer, action: string, target: string): Envelope {
    try {
      return readEnvelope($, peer.roles.has('router'), action);
    } catch (error) {
      throw (target === '' ? undefined : this.options.forwarding.targetFault(action, target)) ?? error;
    }
  }

  // ---- reads: answered in the ACK, no row -------------------------------------------------------------------------

  #ask(peer: Peer, action: RegisteredAction, data: JsonObject, asked: Asked): void {
    const { token } = asked;
    const answer = action.executor.ask(action.manifest, data, peer, asked);
    if (answer instanceof Promise) {
      answer.then(
        (settled) => this.#answer(peer, action, token, settled),
        (error: unknown) => this.#refuse(peer, token, error),
      );
    } else this.#answer(peer, action, token, answer);
  }

  #answer(peer: Peer, action: RegisteredAction, token: string, answer: Answer): void {
    const text = formatAck(token, 0, answer.data);
    peer.send(action.manifest.name === 'PING' ? `[PONG] [${token}] [] ${text.slice(text.indexOf('{'))}` : text);
    answer.after?.();
  }

  // ---- requests: recorded, then acknowledged, then run ------------------------------------------------------------

  #request(
    peer: Peer,
    action: RegisteredAction,
    givenToken: string,
    target: string,
    data: JsonObject,
    envelope: Envelope,
  ): void {
    const { clock, id } = this.options;
    const owner = ownerOf(peer, envelope);
    const text = JSON.stringify(data);
    const token = givenToken === '' ? newToken(clock.now()) : givenToken;
    const known = this.#open.get(token);
    if (known) {
      this.#repeat(peer, owner, action.manifest.name, target, text, known);
      if (known.state === 'recording') known.repeats.push(peer);
      else peer.send(duplicateAck(token));
      return;
    }
    if (this.#stopping) throw failure('STOPPING', { router: id });
    if (this.#open.size >= OPEN_LIMIT) throw failure('BUSY', { what: 'the list of open requests', limit: OPEN_LIMIT });
    const decide = (refusal: CentreondError | undefined): void => {
      const now = clock.now();
      const until = envelope.deadline === undefined ? now + WAIT_LIMIT_MS : envelope.deadline * 1000;
      const open = new OpenRequest(token, owner, action, target, text, until, now);
      if (refusal) {
        void this.#refuseNew(peer, givenToken, open, refusal);
        return;
      }
      this.#open.set(token, open);
      void this.#record(peer, open, envelope.text).then(() => open.recorded());
    };
    const refusal = action.executor.admit(action.manifest, data, peer, owner);
    if (!(refusal instanceof Promise)) {
      decide(refusal);
      return;
    }
    refusal
      .then((late) => {
        // Somebody may have used the token meanwhile.
        if (!late && this.#open.has(token)) this.#request(peer, action, token, target, data, envelope);
        else decide(late);
      })
      .catch((error: unknown) => this.#refuse(peer, givenToken, error));
  }

  /** Refuses what cannot be taken now, unless it repeats what was accepted before. One who is BUSY is not asked for that. */
  async #refuseNew(peer: Peer, token: string, asked: OpenRequest, refusal: CentreondError): Promise<void> {
    try {
      const known = token === '' || refusal.code === 'BUSY' ? undefined : await this.options.store.find(token);
      if (known && known.state !== 'log') this.#answerRepeat(peer, asked.owner, asked, known);
      else this.#refuse(peer, token, refusal);
    } catch (error) {
      this.#refuse(peer, token, error);
    }
  }

  async #record(peer: Peer, open: OpenRequest, envelope: string): Promise<void> {
    const { token, owner, action, target, data } = open;
    const { store, followers } = this.options;
    const record: RequestRecord = {
      token,
      owner,
      action: action.manifest.name,
      target,
      data,
      envelope,
      etime: this.#seconds(),
    };
    let accepted: Accepted;
    try {
      accepted = await store.accept(record, `{"owner":"${owner}","target":"${target}"}`);
    } catch (error) {
      this.#open.delete(token);
      action.executor.withdraw(open);
      for (const other of [peer, ...open.repeats]) this.#refuse(other, token, error);
      return;
    }
    if (accepted.known) {
      this.#open.delete(token);
      action.executor.withdraw(open);
      followers.reassess(token, accepted.request.owner);
      for (const other of [peer, ...open.repeats]) this.#answerRepeat(other, owner, open, accepted.request);
      return;
    }
    open.state = 'waiting';
    peer.send(formatAck(token, 0, '{}'));
    for (const other of open.repeats) other.send(duplicateAck(token));
    if (accepted.earlier) {
      open.forgetRows();
      followers.reassess(token, owner);
    } else {
      open.keep(accepted.row);
      followers.publish(accepted.row, owner);
    }
    this.options.telemetry.accepted++;
    if (this.#stopping && action.executor.elsewhere) this.options.close(open);
    else action.executor.submit(open);
  }

  #answerRepeat(peer: Peer, owner: string, asked: OpenRequest, known: RequestRecord): void {
    try {
      this.#repeat(peer, owner, asked.action.manifest.name, asked.target, asked.data, known);
      peer.send(duplicateAck(asked.token));
    } catch (error) {
      this.#refuse(peer, asked.token, error);
    }
  }

  /** Throws FORBIDDEN or TOKEN_REUSED unless `asked` repeats what `known` recorded under the same token. */
  checkRepeat(peer: Peer, asked: RequestRecord, known: RequestRecord): void {
    this.#repeat(peer, asked.owner, asked.action, asked.target, asked.data, known);
  }

  #repeat(
    peer: Peer,
    owner: string,
    action: string,
    target: string,
    data: string,
    known: OpenRequest | RequestRecord,
  ): void {
    const knownAction = typeof known.action === 'string' ? known.action : known.action.manifest.name;
    if (known.owner !== owner && !actsForAll(peer)) {
      const remedy = 'It belongs to another identity. Choose a new token.';
      throw failure('FORBIDDEN', { identity: peer.identity, what: `use the token ${known.token}`, remedy });
    }
    if (knownAction !== action || !sameTarget(known.target, target, this.options.id) || !sameJson(known.data, data)) {
      throw failure('TOKEN_REUSED', { token: known.token, action: knownAction });
    }
  }

  #refuse(peer: Peer, token: string, error: unknown): void {
    this.options.telemetry.refused++;
    let told = error;
    if (!isCentreondError(error)) {
      const reference = newToken();
      this.options.log.error({ err: error, reference, token }, `internal error ${reference}: ${reasonOf(error)}`);
      told = failure('INTERNAL', { reference });
    }
    peer.send(formatAck(token, 1, JSON.stringify((told as CentreondError).toData())));
  }

  #seconds(): number {
    return Math.floor(this.options.clock.now() / 1000);
  }
}

function duplicateAck(token: string): string {
  return formatAck(token, 0, '{"duplicate":true}');
}

export function sameTarget(a: string, b: string, id: string): boolean {
  return (a === '' ? id : a) === (b === '' ? id : b);
}

/** Whether two JSON texts say the same: the order of keys does not matter. */
function sameJson(a: string, b: string): boolean {
  return a === b || sameValue(JSON.parse(a), JSON.parse(b));
}

function sameValue(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameValue((a as JsonObject)[key], (b as JsonObject)[key]))
  );
}

/** The token of a message that is too large to be parsed, where it can be read from its head. */
function tokenOf(bytes: Buffer): string {
  const head = bytes.toString('latin1', 0, 400);
  return /^\[[^\]]{0,64}\] \[([A-Za-z0-9._:-]{0,255})\]/.exec(head)?.[1] ?? '';
}
