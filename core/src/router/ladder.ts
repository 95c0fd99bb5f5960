import { isAscii } from 'node:buffer';
import {
  type CentreondError,
  decodeText,
  FrameError,
  failure,
  formatAck,
  isCentreondError,
  type JsonObject,
  LINK_ACTIONS,
  MAX_ELEMENTS,
  type Message,
  newToken,
  parseData,
  parseMessage,
  reasonOf,
  TooManyElements,
} from '@centreond/protocol';
import type { Chronicle } from '../log/chronicle.ts';
import type { Log } from '../log.ts';
import type { Accepted, RequestRecord, TokenStore } from '../store/token-store.ts';
import { actsForAll, refusalFor } from './authorize.ts';
import type { Elsewhere } from './elsewhere.ts';
import { type Envelope, ownerOf, readEnvelope } from './envelope.ts';
import type { Followers } from './followers.ts';
import type { Peer } from './peer.ts';
import { type Registry, unknownHere } from './registry.ts';
import { repeatFault, sameTarget } from './repeat.ts';
import { type Answer, OpenRequest, type RegisteredAction } from './request.ts';
import type { Requests } from './requests.ts';
import type { Telemetry } from './telemetry.ts';
import type { Verbs } from './verbs.ts';

/** How long a request may wait for its plugin if its caller set no deadline. */
export const WAIT_LIMIT_MS = 24 * 3600 * 1000;

/** Bytes within which action and token are found. */
const HEAD_BYTES = 400;
/** Below this many bytes a message is read before it may be refused as BUSY. */
const READ_LENGTH = 16 * 1024;

/** A request that may be made, with its DATA parsed and as JSON text without `$`. */
interface Asking {
  readonly action: RegisteredAction;
  readonly data: JsonObject;
  readonly text: string;
  readonly token: string;
  readonly target: string;
  readonly envelope: Envelope;
}

/** What the ladder needs: all of it is handed in, so that a test opens no socket. */
export interface LadderOptions {
  /** This router's id. */
  readonly id: string;
  readonly maxMessage: number;
  readonly store: Pick<TokenStore, 'accept' | 'find'>;
  readonly registry: Registry;
  readonly requests: Requests;
  readonly followers: Followers;
  readonly elsewhere: Elsewhere;
  readonly verbs: Verbs;
  readonly telemetry: Telemetry;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  readonly clock: { now(): number };
  readonly log: Log;
}

/**
 * The ladder of a request, up to its start: verb → parse → known → authorise → target → validate → record → ACK → dispatch. What
 * fails a step is refused in the ACK and leaves no trace.
 */
export class Ladder {
  readonly #options: LadderOptions;
  #stopping = false;
  /** The store refused the last request: nothing runs early until it takes one. */
  #refused = false;

  constructor(options: LadderOptions) {
    this.#options = options;
  }

  /** Accepts no request from now on; repeats of accepted ones are still answered. */
  stop(): void {
    this.#stopping = true;
  }

  /** Takes one message of a peer. Never throws: what is wrong with it is the peer's answer. */
  readonly receive = (peer: Peer, bytes: Buffer): void => {
    if (this.#options.verbs.receive(peer, bytes, this.receive)) return;
    let token = '';
    try {
      const { maxMessage } = this.#options;
      const head = bytes.length > Math.min(READ_LENGTH, maxMessage) ? headOf(bytes) : undefined;
      token = head?.token ?? '';
      if (bytes.length > maxMessage) throw failure('TOO_LARGE', { bytes: bytes.length, limit: maxMessage });
      const busy = head && this.#busy(peer, head, bytes);
      if (busy) throw busy;
      const message = parseMessage(decodeText(bytes));
      token = message.token;
      const data = this.#parse(peer, message);
      const { $ } = data;
      if ($ !== undefined) delete data.$;
      this.#options.telemetry.received++;
      this.#take(peer, message, data, $ === undefined ? textOf(message.data) : JSON.stringify(data), $);
    } catch (error) {
      this.#refuseNew(peer, error instanceof FrameError ? error.token : token, error, this.#options.followers.attached);
    }
  };

  /**
   * BUSY for a new request beyond its owner's share, from its head alone: what is refused is not to cost its DATA. Undefined where
   * more has to be known.
   */
  #busy(peer: Peer, head: Head, bytes: Buffer): CentreondError | undefined {
    const { registry, requests } = this.#options;
    // A router asks for others; a repeat is answered whatever is open.
    if (peer.roles.has('router') || requests.get(head.token)) return undefined;
    const action = this.#ownAction(peer, head.action) ?? registry.get(head.action);
    if (!action || action.manifest.reply === 'ack') return undefined;
    // Shares count characters, of which there are at least so many.
    const size = bytes.length - HEAD_BYTES;
    return requests.refusal(peer.identity, isAscii(bytes) ? size : Math.floor(size / 3));
  }

  /** Messages of links hold pages, which are bounded by rows and bytes; all others are bounded in keys and elements. */
  #parse({ roles }: Peer, { action, token, data }: Message): JsonObject {
    const isOfLink = LINK_ACTIONS.has(action) && (roles.has('node') || roles.has('router') || roles.has('plugin'));
    try {
      return parseData(data, token, isOfLink ? Number.POSITIVE_INFINITY : MAX_ELEMENTS);
    } catch (error) {
      throw error instanceof TooManyElements ? failure('INVALID_DATA', { action, reason: error.message }) : error;
    }
  }

  /** `text` is the JSON of `data`. */
  #take(peer: Peer, { action: named, token, target }: Message, data: JsonObject, text: string, $: unknown): void {
    const { registry, elsewhere, id } = this.#options;
    const ofThisRouter = sameTarget(target, '', id);
    const own = this.#ownAction(peer, named);
    // On another node the plugin may have another type, so a name means there what it means to everybody.
    const local = own && (ofThisRouter || own.manifest.runs === 'here') ? own : registry.get(named);
    const name = local?.manifest.name ?? named;
    const here = local?.manifest.runs === 'here';
    const away = !ofThisRouter && !here;
    if (!local && !(away && elsewhere.mayKnow(name, target))) {
      throw failure('UNKNOWN_ACTION', { action: name, near: registry.near(name) });
    }
    const refusal = refusalFor(peer, local ?? unknownHere(name), target === '' ? id : target, away);
    if (refusal) throw refusal;
    if (!away && !ofThisRouter && !elsewhere.knows(target)) throw failure('UNKNOWN_TARGET', { target, router: id });
    const envelope = this.#envelopeOf($, peer, name, away ? target : '');
    // The node checks DATA by the schema of its own version.
    const action = away || !local ? elsewhere.action(name, local) : local;
    const fault = action.fault(data);
    if (fault) throw failure('INVALID_DATA', { action: name, reason: fault });
    // An action that runs here works on another node, or on none.
    const on = here && ofThisRouter ? '' : target;
    const asked: Asking = { action, data, text, token, target: on, envelope };
    if (action.manifest.reply === 'ack') this.#ask(peer, asked);
    else this.#request(peer, asked);
  }

  /** A plugin that runs under a type from the config calls its own actions by the names that it declares. */
  #ownAction({ roles, identity }: Peer, action: string): RegisteredAction | undefined {
    return roles.has('plugin') ? this.#options.registry.own(identity.slice(1), action) : undefined;
  }

  /** Reads `$`, which belongs to DATA: a TARGET that cannot be reached is told first. */
  #envelopeOf($: unknown, peer: Peer, action: string, target: string): Envelope {
    try {
      return readEnvelope($, peer.roles.has('router'), action);
    } catch (error) {
      throw (target === '' ? undefined : this.#options.elsewhere.targetFault(action, target)) ?? error;
    }
  }

  // ---- answered in the ACK, no record -----------------------------------------------------------------------------

  #ask(peer: Peer, asking: Asking): void {
    const { action, data, token, target, envelope } = asking;
    const { executor, manifest } = action;
    const answer = executor.ask
      ? executor.ask(manifest, data, peer, { token, target, envelope })
      : this.#askPlugin(peer, asking);
    if (!(answer instanceof Promise)) {
      this.#answer(peer, action, token, answer);
      return;
    }
    answer.then(
      (settled) => this.#answer(peer, action, token, settled),
      (error: unknown) => this.#refuse(peer, token, error),
    );
  }

  #askPlugin(peer: Peer, { action, data, text, token, target, envelope }: Asking): Promise<Answer> {
    const acceptedAt = this.#options.clock.now();
    const wantedUntil = acceptedAt + action.manifest.timeoutSeconds * 1000;
    const owner = peer.identity;
    const urgent = peer.roles.has('admin');
    return this.#options.requests.ask(
      { token, owner, action, target, data: text, envelope, wantedUntil, acceptedAt, urgent },
      data,
      peer,
    );
  }

  #answer(peer: Peer, action: RegisteredAction, token: string, answer: Answer): void {
    const text = formatAck(token, 0, answer.data);
    peer.send(action.manifest.name === 'PING' ? `[PONG] [${token}] [] ${text.slice(text.indexOf('{'))}` : text);
    answer.after?.();
  }

  // ---- recorded, then acknowledged, then run ----------------------------------------------------------------------

  #request(peer: Peer, { action, data, text, token: givenToken, target, envelope }: Asking): void {
    const { clock, requests, followers } = this.#options;
    const acceptedAt = clock.now();
    const since = followers.attached;
    const open = new OpenRequest({
      token: givenToken === '' ? newToken(acceptedAt) : givenToken,
      owner: ownerOf(peer, envelope),
      action,
      target,
      data: text,
      envelope,
      wantedUntil: envelope.deadline === undefined ? acceptedAt + WAIT_LIMIT_MS : envelope.deadline * 1000,
      acceptedAt,
      urgent: peer.roles.has('admin'),
    });
    if (this.#repeats(peer, open)) return;
    const reserved = this.#reserved(peer, open);
    if (reserved) throw reserved;
    if (this.#stopping) throw failure('STOPPING', { router: this.#options.id });
    const busy = requests.refusal(open.owner, open.size);
    if (busy) throw busy;
    const admitted = (refusal: CentreondError | undefined): void => {
      if (refusal) void this.#refuseUnlessRepeat(peer, givenToken, open, refusal, since);
      else if (this.#repeats(peer, open)) action.executor.withdraw(open);
      else this.#record(peer, open);
    };
    const refusal = action.executor.admit(open, data, peer);
    if (!(refusal instanceof Promise)) admitted(refusal);
    else refusal.then(admitted).catch((error: unknown) => this.#refuseNew(peer, givenToken, error, since));
  }

  /** Answers a request whose token is open already. False if the token is free. Throws FORBIDDEN or TOKEN_REUSED. */
  #repeats(peer: Peer, asked: OpenRequest): boolean {
    const known = this.#options.requests.get(asked.token);
    if (!known) return false;
    const fault = repeatFault(this.#options.id, actsForAll(peer), peer.identity, recordOf(asked), recordOf(known));
    if (fault) throw fault;
    if (known.isRecording) known.repeated(peer);
    else peer.send(duplicateAck(asked.token));
    return true;
  }

  /** Why a new request may not use its token: the part before the first `:` is the type of another's plugin. */
  #reserved(peer: Peer, { token, owner }: OpenRequest): CentreondError | undefined {
    const type = this.#options.registry.reservedFor(token);
    if (type === undefined || owner === `@${type}` || (peer.roles.has('router') && owner.endsWith(`/@${type}`))) {
      return undefined;
    }
    return reservedFault(peer.identity, token, type);
  }

  /** Refuses what cannot be accepted now, unless it repeats what was accepted before. For BUSY the store is not asked. */
  async #refuseUnlessRepeat(
    peer: Peer,
    token: string,
    asked: OpenRequest,
    refusal: CentreondError,
    since: number,
  ): Promise<void> {
    try {
      const known =
        token === '' || refusal.code === 'BUSY' ? undefined : await this.#options.store.find(token, peer.identity);
      if (known && known.state !== 'log') this.#answerRepeat(peer, asked, known);
      else this.#refuseNew(peer, token, refusal, since);
    } catch (error) {
      this.#refuseNew(peer, token, error, since);
    }
  }

  #record(peer: Peer, open: OpenRequest): void {
    const { owner, target, action } = open;
    const { store, requests, telemetry } = this.#options;
    requests.enter(open);
    const isEarly = this.#mayRunEarly(open);
    const endsSoon = isEarly && telemetry.isQuick(action.manifest.name);
    const recording = store.accept(recordOf(open), `{"owner":"${owner}","target":"${target}"}`, endsSoon);
    if (isEarly) {
      open.early(recording);
      action.executor.submit(open);
    }
    void recording.then(
      (accepted) => this.#recorded(peer, open, accepted),
      (error: unknown) => this.#unrecorded(peer, open, error),
    );
  }

  #unrecorded(peer: Peer, open: OpenRequest, error: unknown): void {
    this.#refused = true;
    const reason = isCentreondError(error) ? error : failure('STORE_FAILED', { reason: reasonOf(error) });
    this.#options.requests.withdraw(open, reason);
    const { attached } = this.#options.followers;
    for (const other of [peer, ...open.repeats]) this.#refuseNew(other, open.token, error, attached);
    open.dropped();
  }

  #recorded(peer: Peer, open: OpenRequest, accepted: Accepted): void {
    const { token, owner, action } = open;
    const { followers, requests, telemetry } = this.#options;
    this.#refused = false;
    if (accepted.known) {
      requests.withdraw(open, failure('CANCELLED', { token, by: 'the router: it repeats an earlier request' }));
      followers.reassess(token, accepted.request.owner);
      for (const other of [peer, ...open.repeats]) this.#answerRepeat(other, open, accepted.request);
      open.dropped();
      return;
    }
    peer.send(formatAck(token, 0, '{}'));
    for (const other of open.repeats) other.send(duplicateAck(token));
    if (accepted.earlier) {
      open.forgetRows();
      followers.reassess(token, owner);
    } else {
      open.keep(accepted.row);
      followers.publish(accepted.row, owner, true);
    }
    telemetry.accepted++;
    open.recorded();
    // Rows of its node may have ended it in the same moment.
    if (open.isEarly || open.state === 'ended') return;
    if (open.abortedFor) {
      action.executor.withdraw(open);
      requests.fail(open, open.abortedFor);
    } else if (this.#stopping && action.executor.elsewhere) requests.leave(open);
    else this.#dispatch(open);
  }

  /**
   * Whether it may run while it is being recorded: to lose it before its ACK, or to run it twice, harms nobody. Never two of one
   * token at once.
   */
  #mayRunEarly({ action: { executor, manifest }, token }: OpenRequest): boolean {
    return manifest.idempotent && executor.early === true && !this.#refused && !this.#options.requests.lingering(token);
  }

  /** Hands a recorded request to its executor, once no instance has an earlier one of its token. */
  #dispatch(open: OpenRequest): void {
    const { executor } = open.action;
    const submit = () => {
      if (open.state === 'waiting') executor.submit(open);
    };
    const lingering = this.#options.requests.lingering(open.token);
    // Once the slot has seen to its exit.
    if (lingering) lingering.whenReleased(() => queueMicrotask(submit));
    else submit();
  }

  #answerRepeat(peer: Peer, asked: OpenRequest, known: RequestRecord): void {
    const fault = repeatFault(this.#options.id, actsForAll(peer), peer.identity, recordOf(asked), known);
    if (fault) this.#refuse(peer, asked.token, fault);
    else peer.send(duplicateAck(asked.token));
  }

  /** Refuses a request that came when `since` followers were attached; nothing is followed for it. */
  #refuseNew(peer: Peer, token: string, error: unknown, since: number): void {
    this.#refuse(peer, token, error);
    this.#options.followers.refused(peer, token, since);
  }

  #refuse(peer: Peer, token: string, error: unknown): void {
    this.#options.telemetry.refused++;
    let told = error;
    if (!isCentreondError(error)) {
      const reference = newToken();
      this.#options.log.error({ err: error, reference, token }, `internal error ${reference}: ${reasonOf(error)}`);
      told = failure('INTERNAL', { reference });
    }
    const { code, message } = told as CentreondError;
    if (code === 'BUSY') this.#options.chronicle.tell('BUSY', { identity: peer.identity, message }, peer.identity);
    peer.send(formatAck(token, 1, JSON.stringify((told as CentreondError).toData())));
  }
}

/** FORBIDDEN for a token that begins with the type of a plugin. */
export function reservedFault(identity: string, token: string, type: string): CentreondError {
  const remedy = `Tokens that begin with ${type}: belong to the plugin ${type}. Choose another token.`;
  return failure('FORBIDDEN', { identity, what: `use the token ${token}`, remedy });
}

function recordOf({ token, owner, action, target, data, envelope, acceptedAt }: OpenRequest): RequestRecord {
  return {
    token,
    owner,
    action: action.manifest.name,
    target,
    data,
    envelope: envelope.text,
    etime: Math.floor(acceptedAt / 1000),
  };
}

function duplicateAck(token: string): string {
  return formatAck(token, 0, '{"duplicate":true}');
}

/** DATA's JSON as it arrived: to write it again costs as much as to read it. Begins with `{` and ends with `}`; `{}` if it is empty. */
function textOf(data: string): string {
  const text = data.trim();
  return text.slice(1, -1).trim() === '' ? '{}' : text;
}

/** What a message begins with. */
interface Head {
  readonly action: string;
  readonly token: string;
}

/** The head of a message whose rest is not read; undefined where it is malformed. */
function headOf(bytes: Buffer): Head | undefined {
  const head = bytes.toString('latin1', 0, HEAD_BYTES);
  const [, action, token] = /^\[([^\]]{0,64})\] \[([A-Za-z0-9._:-]{0,255})\]/.exec(head) ?? [];
  return action === undefined || token === undefined ? undefined : { action, token };
}
