import { generateKeyPairSync } from 'node:crypto';
import type { Manifest } from '@centreond/plugin-sdk/internal';
import { type RouterSchema, routerSchema } from '@centreond/plugin-sdk/json-schema';
import type { NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import {
  type Ack,
  CentreondError,
  type ErrorData,
  failure,
  formatMessage,
  type Json,
  type JsonObject,
  type Message,
  newToken,
  parseJson,
} from '@centreond/protocol';
import { type KeyPair, keyPairOf, signPss } from '@centreond/protocol/channel';

const KEY_CHARACTERS = 255;
const ANSWER_LIMIT_MS = 10_000;

/** A request that the test sends to a node that the plugin carries. */
export interface TestCarried {
  readonly token?: string;
  readonly from?: string;
  readonly hops?: readonly string[];
}

interface Pending {
  resolve(data: JsonObject): void;
  reject(error: CentreondError): void;
}

/** What the router does for a plugin's services: state, events, carried nodes, and the key that signs for links. */
export class TestServices {
  /** Events that the plugin emitted, in order. */
  readonly emitted: { event: string; data: JsonObject }[] = [];
  /** The nodes that the plugin carries, by id. */
  readonly carried = new Map<string, NodeAnnouncement>();
  readonly #events: ReadonlyMap<string, RouterSchema>;
  readonly #pending = new Map<string, Pending>();
  #number = 0;
  #keys: KeyPair | undefined;

  constructor(
    private readonly manifest: Manifest,
    private readonly state: Map<string, Json>,
    private readonly toInstance: (message: string) => void,
  ) {
    this.#events = new Map(manifest.emits.map(({ name, schema }) => [name, routerSchema(schema)]));
  }

  /** The answer to one of the actions that only services call, or undefined for any other. Throws the refusal. */
  answer(action: string, data: JsonObject): JsonObject | Promise<JsonObject> | undefined {
    const { state } = this;
    const key = String(data.key);
    switch (action) {
      case 'GETSTATE': {
        const value = state.get(key);
        return value === undefined ? {} : { value: structuredClone(value) };
      }
      case 'SETSTATE':
        if (key === '' || key.length > KEY_CHARACTERS || data.value === undefined) {
          const reason = `its key must have 1 to ${KEY_CHARACTERS} characters, and a value`;
          throw failure('INVALID_DATA', { action, reason });
        }
        state.set(key, structuredClone(data.value));
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
        for (const node of data.nodes as unknown as NodeAnnouncement[]) this.carried.set(node.id, node);
        for (const id of data.gone as string[]) this.carried.delete(id);
        return {};
      case 'ROUTERKEY': {
        const { jwk, thumbprint } = this.#routerKeys();
        return { id: 'test', hostname: 'test', version: '0.0.0', jwk: { ...jwk }, thumbprint };
      }
      case 'SIGN':
        return signPss(
          this.#routerKeys().privateKey,
          String(data.label),
          Buffer.from(String(data.hash), 'base64url'),
        ).then((signature) => ({ signature: signature.toString('base64url') }));
      default:
        return undefined;
    }
  }

  /** Tells the plugin's listeners of an event; resolves once its process has taken it. */
  async tell(event: string, data: JsonObject): Promise<void> {
    const number = String(++this.#number);
    await this.#answered(number, () => this.toInstance(formatMessage('EVENT', event, number, data)));
  }

  /** Hands a request for a node that the plugin carries to it; resolves with the ACK, rejects with the refusal. */
  async carry(target: string, action: string, data: JsonObject, options: TestCarried = {}): Promise<Ack> {
    if (!this.carried.has(target)) throw failure('UNKNOWN_TARGET', { target, router: 'test' });
    const { token = newToken(), from = '@local', hops = [] } = options;
    const request = { action, token, data, envelope: { from, hops } };
    const answer = await this.#answered(token, () => this.toInstance(formatMessage('CARRY', token, target, request)));
    return { token, data: answer };
  }

  /** Takes what answers the above; false for any other message. */
  receive({ action, token, target, data }: Message): boolean {
    if (action === 'HEARD') this.#pending.get(target)?.resolve({});
    else if (action === 'CARRIED') {
      const { code, data: body } = parseJson(data) as { code: number; data: JsonObject };
      const refusal = body as unknown as ErrorData;
      if (code === 0) this.#pending.get(token)?.resolve(body);
      else this.#pending.get(token)?.reject(new CentreondError(refusal.error, refusal.message));
    } else return false;
    return true;
  }

  #answered(key: string, ask: () => void): Promise<JsonObject> {
    return new Promise<JsonObject>((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        this.#pending.delete(key);
      };
      const late = () => reject(failure('WAIT_OVER', { token: key, seconds: ANSWER_LIMIT_MS / 1000 }));
      const timer = setTimeout(() => {
        settle();
        late();
      }, ANSWER_LIMIT_MS);
      this.#pending.set(key, {
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
