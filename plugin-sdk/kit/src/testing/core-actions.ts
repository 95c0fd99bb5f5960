import type { Access, ActionManifest, JsonSchema } from '@centreond/plugin-sdk/internal';
import { type RouterSchema, routerSchema } from '@centreond/plugin-sdk/json-schema';
import {
  type CentreondError,
  FINISHED,
  failure,
  faultOf,
  isTerminal,
  type Json,
  type JsonObject,
  MAX_ROW_DEPTH,
  ROW_ROOM,
} from '@centreond/protocol';
import { declared, toldError } from './answers.ts';
import type { Crew } from './crew.ts';
import { type KnownToken, NODE, repeatFault, type TestHistory } from './history.ts';
import { actsForAll, seesAll, type TestPeer } from './peer.ts';
import type { Runner, TestRequest, TestRequests } from './test-requests.ts';

const LIFECYCLE_SECONDS = 600;
const TOKEN = { type: 'string', pattern: '^[A-Za-z0-9._:-]{1,255}$' };
const NUMBER = { type: 'integer', minimum: 0, maximum: 2 ** 52 };
const CODE = { type: 'integer', maximum: 2 ** 31 };
const EVERYBODY: readonly Access[] = ['client', 'node'];

function strict(properties: Record<string, object>, ...required: string[]): JsonSchema {
  return { type: 'object', properties, required, additionalProperties: false } as JsonSchema;
}

const ACTIONS: readonly ActionManifest[] = [
  declared('PING', { input: strict({}), reply: 'ack' }),
  declared('GETLOG', {
    input: strict({
      token: TOKEN,
      code: { ...CODE, minimum: 0 },
      ctime: NUMBER,
      etime: NUMBER,
      id: NUMBER,
      limit: { type: 'integer', minimum: 1, maximum: 10_000 },
    }),
    reply: 'ack',
    runs: 'here',
  }),
  declared('PUTLOG', {
    input: strict(
      { token: TOKEN, code: { anyOf: [{ const: 0 }, { ...CODE, minimum: 10 }] }, etime: NUMBER, data: {} },
      'token',
      'code',
      'data',
    ),
    reply: 'ack',
  }),
  declared('FOLLOW', { input: strict({ token: TOKEN, id: NUMBER }, 'token'), reply: 'ack', runs: 'here' }),
  declared('CANCEL', { input: strict({ token: TOKEN }, 'token'), runs: 'here', timeoutSeconds: 60 }),
  declared('KILL', {
    input: strict(
      { type: { type: 'string', pattern: '^[a-z][a-z0-9-]{0,63}$' }, id: { type: 'string', maxLength: 1024 } },
      'type',
    ),
    access: ['router'],
    timeoutSeconds: LIFECYCLE_SECONDS,
  }),
].map((action) => (action.name === 'KILL' ? action : { ...action, access: EVERYBODY }));

/** What the core's own actions work on. */
export interface CoreParts {
  readonly type: string;
  readonly maxMessage: number;
  readonly history: TestHistory;
  readonly requests: TestRequests;
  readonly crew: Crew;
  /** Throws FORBIDDEN where `peer`, as `owner`, may not be the first to use `token`. */
  checkReserved(peer: TestPeer, owner: string, token: string): void;
}

/** The core's own actions in memory: PING, GETLOG, PUTLOG, FOLLOW, CANCEL and KILL. */
export class TestCoreActions implements Runner {
  readonly #schemas = new Map<string, RouterSchema>();
  /** The tokens of requests that were refused in this turn of the event loop. */
  readonly #refused = new Map<TestPeer, Set<string>>();

  constructor(private readonly parts: CoreParts) {
    for (const { name, input } of ACTIONS) this.#schemas.set(name, routerSchema(input));
  }

  get(name: string): ActionManifest | undefined {
    return ACTIONS.find((action) => action.name === name);
  }

  /** What is wrong with DATA of a core action, or undefined. */
  fault(name: string, data: JsonObject): string | undefined {
    return this.#schemas.get(name)?.check(data);
  }

  // ---- answered in the ACK ----------------------------------------------------------------------------------------

  /** The answer to an action that is answered in the ACK, and what runs once the ACK is sent. Throws the refusal. */
  answer(peer: TestPeer, name: string, token: string, data: JsonObject): { data: JsonObject; after?: () => void } {
    switch (name) {
      case 'PING':
        return { data: { id: NODE, hostname: NODE, version: '0.0.0' } };
      case 'GETLOG': {
        const { history } = this.parts;
        const mine = (of: string) => seesAll(peer) || history.find(of)?.owner === peer.identity;
        const page = history.query(data, (row) => mine(row.token));
        return { data: { action: 'getlog', id: NODE, ...page } as unknown as JsonObject };
      }
      case 'PUTLOG':
        return { data: this.#put(peer, token, data as { token: string; code: number; data: Json; etime?: number }) };
      default:
        return this.#follow(peer, String(data.token), Number(data.id ?? 0));
    }
  }

  #put(peer: TestPeer, own: string, row: { token: string; code: number; data: Json; etime?: number }): JsonObject {
    const { history, requests, maxMessage, type } = this.parts;
    const { token, code, data } = row;
    const { identity } = peer;
    const refuse = (reason: string) => failure('INVALID_DATA', { action: 'PUTLOG', reason });
    if (!peer.roles.includes('router')) this.parts.checkReserved(peer, identity, token);
    if (own === token) throw refuse('its own TOKEN must differ from data.token, under which the row is written');
    const bytes = Buffer.byteLength(JSON.stringify(data));
    const limit = maxMessage - ROW_ROOM;
    if (bytes > limit) throw failure('TOO_LARGE', { bytes, limit });
    if (faultOf(data, MAX_ROW_DEPTH)) throw refuse(`its data nests deeper than ${MAX_ROW_DEPTH} levels`);
    const record: KnownToken = { owner: identity, action: 'PUTLOG', target: '', data: { ...row }, isLog: false };
    const before = own === '' ? undefined : history.find(own);
    if (before && !(before.isLog && before.owner === identity)) {
      const fault = repeatFault(own, record, before, { identity, forAll: actsForAll(peer) });
      if (fault) throw fault;
      return { duplicate: true };
    }
    const known = history.find(token);
    const runsIt = requests.get(token) !== undefined && identity === `@${type}` && peer.roles.includes('plugin');
    if (known && known.owner !== identity && !runsIt && !actsForAll(peer)) {
      const what = `write under the token ${token}, which is another's`;
      throw failure('FORBIDDEN', { identity, what, remedy: 'Use a token of your own.' });
    }
    if (own !== '') history.claim(own, record);
    if (!known) history.claim(token, { owner: identity, action: 'PUTLOG', target: '', data: {}, isLog: true });
    history.append(token, code, data, NODE, row.etime);
    return {};
  }

  #follow(peer: TestPeer, token: string, afterId: number): { data: JsonObject; after?: () => void } {
    const { history } = this.parts;
    const known = history.find(token);
    const { identity } = peer;
    if (known && known.owner !== identity && !seesAll(peer)) {
      const remedy = 'It belongs to another identity.';
      throw failure('FORBIDDEN', { identity, what: `follow the token ${token}`, remedy });
    }
    // It came right behind a request that was refused.
    if (!known && this.#refused.get(peer)?.delete(token)) return { data: {} };
    const after = () => {
      const stop = history.follow(token, afterId, (row) => {
        const mayRead = seesAll(peer) || history.find(token)?.owner === identity;
        if (mayRead) peer.send(`[LOG] [${token}] ${JSON.stringify(row)}`);
        if (isTerminal(row.code)) queueMicrotask(() => stop());
      });
    };
    return { data: {}, after };
  }

  /** A request of `peer` under `token` was refused: a FOLLOW that comes in the same turn follows nothing. */
  refused(peer: TestPeer, token: string): void {
    if (token === '') return;
    if (this.#refused.size === 0) setImmediate(() => this.#refused.clear());
    this.#refused.set(peer, (this.#refused.get(peer) ?? new Set()).add(token));
  }

  // ---- with rows --------------------------------------------------------------------------------------------------

  /** Why CANCEL or KILL cannot be accepted, or undefined; asked before it is recorded. */
  refusal(peer: TestPeer, owner: string, name: string, data: JsonObject): CentreondError | undefined {
    if (name === 'KILL') return this.#killRefusal(String(data.type), String(data.id ?? ''));
    const token = String(data.token);
    const known = this.parts.history.find(token);
    if (!known) {
      return failure('INVALID_DATA', { action: name, reason: `there is no request with the token ${token}` });
    }
    if (known.owner === owner || peer.roles.includes('admin')) return undefined;
    const remedy = 'It belongs to another identity.';
    return failure('FORBIDDEN', { identity: owner, what: `cancel ${token}`, remedy });
  }

  #killRefusal(type: string, id: string): CentreondError | undefined {
    const { crew, type: own } = this.parts;
    if (type === own && (id === '' || crew.ids.includes(id))) return undefined;
    const known = type === own ? crew.ids.map((one) => `${type}/${one}`) : [own];
    return failure('UNKNOWN_INSTANCE', { type, id, known });
  }

  submit(request: TestRequest): void {
    const { requests } = this.parts;
    requests.started(request);
    queueMicrotask(() => {
      this.#run(request).then(
        (output) => requests.row(request, FINISHED, output),
        (error: unknown) => requests.fail(request, toldError(error)),
      );
    });
  }

  async #run(request: TestRequest): Promise<JsonObject> {
    const { requests, crew } = this.parts;
    const { owner, data } = request;
    if (request.action.name === 'CANCEL') {
      const token = String(data.token);
      const open = requests.get(token);
      if (!open) return { token, cancelled: false };
      requests.abort(open, failure('CANCELLED', { token, by: owner }));
      return { token, cancelled: true };
    }
    const { type, id = '' } = data as { type: string; id?: string };
    const ended = crew.ids.filter((one) => id === '' || one === id);
    await crew.kill(id, (step) => requests.row(request, 0, { step }));
    return { type, ended };
  }

  // Neither can be stopped midway: both end within limits of their own.
  abort(): void {}
  withdraw(): void {}
}
