import type { Clock } from '@centreond/plugin-sdk';
import type { ActionManifest, Manifest } from '@centreond/plugin-sdk/internal';
import { type RouterSchema, routerSchema } from '@centreond/plugin-sdk/json-schema';
import { failure, type JsonObject, newToken, readEnvelope } from '@centreond/protocol';
import { declared } from './answers.ts';
import type { TestCoreActions } from './core-actions.ts';
import type { Crew } from './crew.ts';
import { type KnownToken, NODE, repeatFault, type TestHistory } from './history.ts';
import type { TestNodes } from './nodes.ts';
import { actsForAll, refusalFor, type TestPeer } from './peer.ts';
import { errorOf, type Runner, TestRequest, type TestRequests } from './test-requests.ts';
import type { TestServices } from './test-services.ts';

/** A request as it was asked. */
export interface Asking {
  readonly action: string;
  readonly token: string;
  readonly target: string;
  /** DATA without `$`. */
  readonly data: JsonObject;
  /** `$`, as it came. */
  readonly envelope: unknown;
  /** The router's schema is not asked. */
  readonly unchecked: boolean;
}

/** A request that was accepted, or answered. */
export interface Taken {
  readonly token: string;
  readonly data: JsonObject;
  /** Runs once the ACK is sent. */
  readonly after?: () => void;
}

export interface LadderParts {
  readonly manifest: Manifest;
  readonly clock: Clock;
  readonly history: TestHistory;
  readonly requests: TestRequests;
  readonly crew: Crew;
  readonly core: TestCoreActions;
  readonly nodes: TestNodes;
  readonly services: TestServices;
}

/** The steps of a request up to its start, in the real router's order: known, authorise, target, validate, repeat, record, run. */
export class TestLadder {
  readonly #inputs = new Map<string, RouterSchema>();

  constructor(private readonly parts: LadderParts) {
    for (const { name, input } of parts.manifest.actions) this.#inputs.set(name, routerSchema(input));
  }

  /** Takes a request. Throws its refusal; the answer of an action with `reply: 'ack'` rejects with it. */
  take(peer: TestPeer, asking: Asking): Taken | Promise<Taken> {
    const { manifest, nodes, core, services } = this.parts;
    const { action: name, token, data } = asking;
    const own = manifest.actions.find((action) => action.name === name) ?? core.get(name);
    const local = own ?? services.action(name) ?? nodes.action(name, '');
    const here = local?.runs === 'here';
    const ofThisRouter = asking.target === '' || asking.target === NODE;
    const away = !ofThisRouter && !here;
    const target = ofThisRouter ? '' : asking.target;
    if (!local && !(away && nodes.knows(target))) throw failure('UNKNOWN_ACTION', { action: name, near: undefined });
    const action = local ?? nodes.action(name, target) ?? declared(name, { access: ['client'] });
    const refusal = refusalFor(peer, name, action.access);
    if (refusal) throw refusal;
    if (!away && !ofThisRouter && !nodes.knows(target)) throw failure('UNKNOWN_TARGET', { target, router: NODE });
    const envelope = this.#envelope(peer, asking, away ? target : '');
    const fault = asking.unchecked || away ? undefined : this.#fault(name, data);
    if (fault) throw failure('INVALID_DATA', { action: name, reason: fault });
    if (!away && services.action(name)) return this.#serve(peer, name, token, data);
    if (!away && action.reply === 'ack' && core.get(name)) return { token, ...core.answer(peer, name, token, data) };
    const runner: Runner = away ? nodes : this.#runnerOf(name);
    const owner = peer.roles.includes('router') && envelope.from ? `${peer.identity}/${envelope.from}` : peer.identity;
    if (away && action.reply === 'ack')
      return nodes.ask(peer.identity, name, token, target, data).then((told) => ({ token, data: told }));
    // An action that runs here works on another node, or on none.
    const on = here && ofThisRouter ? '' : asking.target;
    return this.#request(peer, { ...asking, target: on }, action, runner, owner, envelope.deadline);
  }

  #envelope(peer: TestPeer, { envelope, action }: Asking, target: string) {
    try {
      return readEnvelope(envelope, peer.roles.includes('router'), action);
    } catch (error) {
      throw (target === '' ? undefined : this.parts.nodes.targetFault(action, target)) ?? error;
    }
  }

  #fault(name: string, data: JsonObject): string | undefined {
    return (this.#inputs.get(name)?.check ?? ((one: JsonObject) => this.parts.core.fault(name, one)))(data);
  }

  #runnerOf(name: string): Runner {
    const { manifest, core, crew, nodes } = this.parts;
    if (manifest.actions.some((action) => action.name === name)) return crew;
    return core.get(name) ? core : nodes;
  }

  #serve(peer: TestPeer, name: string, token: string, data: JsonObject): Taken | Promise<Taken> {
    const served = this.parts.services.answer(name, data, peer.instance ?? '');
    return served instanceof Promise ? served.then((told) => ({ token, data: told })) : { token, data: served };
  }

  #request(
    peer: TestPeer,
    asking: Asking,
    action: ActionManifest,
    runner: Runner,
    owner: string,
    deadline: number | undefined,
  ): Taken | Promise<Taken> {
    const { clock, history, requests, crew, core, nodes } = this.parts;
    const { data, target } = asking;
    const acceptedAt = clock.now();
    const urgent = peer.roles.includes('admin');
    const wantedUntil = deadline === undefined ? undefined : deadline * 1000;
    const parts = { owner, action, data, target, acceptedAt, urgent, runner };
    const refusal = () => {
      if (runner === crew) return crew.gone ?? crew.refusal(action.name, data);
      return runner === core ? core.refusal(peer, owner, action.name, data) : nodes.refusal(peer.identity, asking);
    };
    if (action.reply === 'ack' && runner === crew) {
      return new Promise((resolve, reject) => {
        requests.admit(owner);
        const refused = refusal();
        if (refused) throw refused;
        const answered = (code: number, answer: JsonObject) =>
          code === 1 ? reject(errorOf(answer)) : resolve({ token: asking.token, data: answer });
        const until = acceptedAt + action.timeoutSeconds * 1000;
        const request = new TestRequest({ ...parts, token: asking.token, wantedUntil: until, answered });
        requests.enter(request);
        requests.submit(request);
      });
    }
    const token = asking.token === '' ? newToken() : asking.token;
    const record: KnownToken = { owner, action: action.name, target, data, isLog: false };
    const known = history.find(token);
    const repeated = (): Taken => {
      const by = { identity: peer.identity, forAll: actsForAll(peer) };
      const fault = known && repeatFault(token, record, known, by);
      if (fault) throw fault;
      return { token, data: { duplicate: true } };
    };
    if (requests.get(token)) return repeated();
    this.checkReserved(peer, owner, token);
    requests.admit(owner);
    if (known && !known.isLog) return repeated();
    const refused = refusal();
    if (refused) throw refused;
    if (known && known.owner !== owner) return repeated();
    const request = new TestRequest({ ...parts, token, wantedUntil });
    history.claim(token, record);
    requests.enter(request);
    return { token, data: {}, after: () => requests.submit(request) };
  }

  /** Throws FORBIDDEN where `token` begins with the type of a plugin that `owner` is not. */
  checkReserved(peer: TestPeer, owner: string, token: string): void {
    const { type } = this.parts.manifest;
    const prefix = token.slice(0, Math.max(0, token.indexOf(':')));
    if (prefix !== type && prefix !== 'core') return;
    if (owner === `@${prefix}` || (peer.roles.includes('router') && owner.endsWith(`/@${prefix}`))) return;
    const remedy = `Tokens that begin with ${prefix}: belong to the plugin ${prefix}. Choose another token.`;
    throw failure('FORBIDDEN', { identity: peer.identity, what: `use the token ${token}`, remedy });
  }
}
