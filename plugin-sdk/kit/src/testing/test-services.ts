import { generateKeyPairSync } from 'node:crypto';
import type { ReportedHealth, ReportedMetric } from '@centreond/plugin-runtime';
import type { ActionManifest, HealthState, Manifest } from '@centreond/plugin-sdk/internal';
import { type RouterSchema, routerSchema } from '@centreond/plugin-sdk/json-schema';
import type { NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import {
  type Ack,
  CentreondError,
  type CoreEvents,
  failure,
  faultOf,
  formatMessage,
  type Json,
  type JsonObject,
  MAX_ROW_DEPTH,
  newToken,
  parseJson,
  parseReply,
} from '@centreond/protocol';
import { type KeyPair, keyPairOf, signPss } from '@centreond/protocol/channel';
import { declared } from './answers.ts';
import { NODE } from './history.ts';
import { errorOf } from './test-requests.ts';

const KEY_CHARACTERS = 255;
const VALUE_BYTES = 1024 * 1024;
const STATE_BYTES = 64 * 1024 * 1024;
const ANSWER_LIMIT_MS = 10_000;
/** Events that are kept while no instance is ready. */
const KEPT_EVENTS = 1000;

const SERVED: ReadonlyMap<string, ActionManifest> = new Map(
  ['GETSTATE', 'SETSTATE', 'DELETESTATE', 'LISTSTATE', 'EMIT', 'ANNOUNCE', 'ROUTERKEY', 'SIGN'].map((name) => [
    name,
    declared(name, { access: ['internal'], reply: 'ack' }),
  ]),
);

/** A request that the test sends to a node that the plugin carries. */
export interface TestCarried {
  readonly token?: string;
  readonly from?: string;
  readonly hops?: readonly string[];
}

interface Pending {
  /** The instance that was told. */
  readonly by: string;
  resolve(data: JsonObject): void;
  reject(error: CentreondError): void;
}

interface Event {
  readonly name: string;
  readonly data: JsonObject;
}

/** What the router does for a plugin's services: state, events, carried nodes, and the key that signs for links. */
export class TestServices {
  /** Events that the plugin emitted, in order. */
  readonly emitted: { event: string; data: JsonObject }[] = [];
  /** How an instance fares, as one told last. */
  health: ReportedHealth | undefined;
  /** The metrics of the instances, as one told them last, by name. */
  readonly metrics = new Map<string, ReportedMetric>();
  /** The nodes that the plugin carries, by id. */
  readonly carried = new Map<string, NodeAnnouncement>();
  readonly #carriers = new Map<string, string>();
  readonly #events: ReadonlyMap<string, RouterSchema>;
  readonly #pending = new Map<string, Pending>();
  readonly #kept: Event[] = [];
  #number = 0;
  #keys: KeyPair | undefined;

  constructor(
    private readonly manifest: Manifest,
    private readonly state: Map<string, Json>,
    private readonly toInstance: (id: string, message: string) => void,
    /** The instances that hear of an event now; undefined where it is kept until one is ready. */
    private readonly hearers: (event: string) => readonly string[] | undefined,
  ) {
    this.#events = new Map(manifest.emits.map(({ name, schema }) => [name, routerSchema(schema)]));
  }

  /** One of the actions that only services call. */
  action(name: string): ActionManifest | undefined {
    return SERVED.get(name);
  }

  /** The answer to one of those, for the instance `id`. Throws the refusal. */
  answer(action: string, data: JsonObject, id: string): JsonObject | Promise<JsonObject> {
    const { state } = this;
    const key = String(data.key);
    switch (action) {
      case 'GETSTATE': {
        const value = state.get(key);
        return value === undefined ? {} : { value: structuredClone(value) };
      }
      case 'SETSTATE':
        this.#keep(key, data.value);
        return {};
      case 'DELETESTATE':
        state.delete(key);
        return {};
      case 'LISTSTATE': {
        const keys = [...state.keys()].filter(
          (each) => each.startsWith(String(data.prefix)) && each > String(data.after),
        );
        return { entries: keys.sort().map((each) => ({ key: each, value: state.get(each) ?? null })), more: false };
      }
      case 'EMIT':
        return this.#emit(String(data.event), data.data as JsonObject);
      case 'ANNOUNCE':
        for (const node of data.nodes as unknown as NodeAnnouncement[]) {
          this.carried.set(node.id, node);
          this.#carriers.set(node.id, id);
        }
        for (const gone of data.gone as string[]) this.carried.delete(gone);
        return {};
      case 'ROUTERKEY': {
        const { jwk, thumbprint } = this.#routerKeys();
        return { id: NODE, hostname: NODE, version: '0.0.0', jwk: { ...jwk }, thumbprint };
      }
      default:
        return signPss(
          this.#routerKeys().privateKey,
          String(data.label),
          Buffer.from(String(data.hash), 'base64url'),
        ).then((signature) => ({ signature: signature.toString('base64url') }));
    }
  }

  #keep(key: string, value: Json | undefined): void {
    const refuse = (reason: string) => failure('INVALID_DATA', { action: 'SETSTATE', reason });
    if (key === '' || key.length > KEY_CHARACTERS || !key.isWellFormed()) {
      throw refuse(`its key must have 1 to ${KEY_CHARACTERS} characters of Unicode`);
    }
    if (value === undefined) throw refuse('its value is missing');
    const fault = faultOf(value, MAX_ROW_DEPTH);
    if (fault) throw refuse(`its value ${fault}`);
    const size = (one: Json) => Buffer.byteLength(JSON.stringify(one));
    const bytes = size(value);
    if (bytes > VALUE_BYTES) {
      throw refuse(`the value of ${key} has ${bytes} bytes of JSON, and ${VALUE_BYTES} are allowed`);
    }
    const others = [...this.state].filter(([one]) => one !== key);
    const all = others.reduce((sum, [one, kept]) => sum + Buffer.byteLength(one) + size(kept), bytes);
    if (all > STATE_BYTES) throw failure('STATE_FULL', { type: this.manifest.type, bytes: all, limit: STATE_BYTES });
    this.state.set(key, structuredClone(value));
  }

  /** Emits one of the core's events. Resolves once the plugin's processes have taken it; at once where it does not listen. */
  async tell<E extends keyof CoreEvents | (string & {})>(
    name: E,
    data: E extends keyof CoreEvents ? CoreEvents[E] : JsonObject,
  ): Promise<void> {
    const event = { name, data: data as JsonObject };
    const hearers = this.hearers(name);
    if (hearers) await Promise.all(hearers.map((id) => this.#tell(id, event)));
    else if (this.#kept.length < KEPT_EVENTS) this.#kept.push(event);
  }

  #tell(id: string, { name, data }: Event): Promise<JsonObject> {
    const number = String(++this.#number);
    return this.#answered(number, id, () => this.toInstance(id, formatMessage('EVENT', name, number, data)));
  }

  /** The instance `id` is ready: it hears what was kept. */
  ready(id: string): void {
    for (const event of this.#kept.splice(0)) void this.#tell(id, event).catch(() => {});
  }

  /** The instance `id` is gone, with what it had not taken. The nodes that it carried are unreachable, as at a real router. */
  gone(id: string): void {
    for (const pending of this.#pending.values()) if (pending.by === id) pending.resolve({});
    for (const [node, carrier] of this.#carriers) {
      const announced = carrier === id && this.carried.get(node);
      if (announced) this.carried.set(node, { ...announced, state: 'unreachable' });
    }
  }

  /** Hands a request for a node that the plugin carries to it; resolves with the ACK, rejects with the refusal. */
  async carry(target: string, action: string, data: JsonObject, options: TestCarried = {}): Promise<Ack> {
    if (!this.carried.has(target)) throw failure('UNKNOWN_TARGET', { target, router: NODE });
    const { token = newToken(), from = '@local', hops = [] } = options;
    const request = { action, token, data, envelope: { from, hops } };
    const id = this.#carriers.get(target) ?? '';
    const number = String(++this.#number);
    const handOver = () => this.toInstance(id, formatMessage('CARRY', number, target, request));
    return { token, data: await this.#answered(number, id, handOver) };
  }

  /** Takes what answers the above, and what an instance reports; false for any other message. */
  receive(text: string): boolean {
    if (text.startsWith('[HEARD] ')) {
      this.#pending.get(parseReply(text).target)?.resolve({});
      return true;
    }
    if (text.startsWith('[INSTANCEHEALTH] ')) {
      const { token: state, data } = parseReply(text);
      const { why = '' } = parseJson(data) as { why?: string };
      this.health = { state: state as HealthState, why };
      return true;
    }
    if (text.startsWith('[INSTANCEMETRICS] ')) {
      const told = parseJson(parseReply(text).data) as Record<string, ReportedMetric>;
      for (const [name, metric] of Object.entries(told)) this.metrics.set(name, metric);
      return true;
    }
    if (!text.startsWith('[CARRIED] ')) return false;
    const { token: number, data } = parseReply(text);
    const { code, data: body } = parseJson(data) as { code: number; data: JsonObject };
    if (code === 0) this.#pending.get(number)?.resolve(body);
    else this.#pending.get(number)?.reject(errorOf(body));
    return true;
  }

  #answered(number: string, by: string, ask: () => void): Promise<JsonObject> {
    return new Promise<JsonObject>((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        this.#pending.delete(number);
      };
      const late = () => reject(failure('WAIT_OVER', { token: number, seconds: ANSWER_LIMIT_MS / 1000 }));
      const timer = setTimeout(() => {
        settle();
        late();
      }, ANSWER_LIMIT_MS);
      this.#pending.set(number, {
        by,
        resolve: (answer) => {
          settle();
          resolve(answer);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      ask();
    });
  }

  #emit(event: string, data: JsonObject): JsonObject {
    const schema = this.#events.get(event);
    const reason = schema ? schema.check(data) : "it is not among the plugin's declared events";
    if (reason) throw failure('INVALID_EVENT', { type: this.manifest.type, event, reason });
    this.emitted.push({ event, data });
    // Its listeners fare as they do: the emitter is answered at once.
    this.tell(event, data).catch(() => {});
    return {};
  }

  // Made when first asked for: it takes a while, and few plugins open links.
  #routerKeys(): KeyPair {
    this.#keys ??= keyPairOf(
      generateKeyPairSync('rsa', { modulusLength: 2048 })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
    );
    return this.#keys;
  }
}
