import type { ActionManifest, Manifest } from '@centreond/plugin-sdk/internal';
import { type JsonObject, parseReply } from '@centreond/protocol';
import { CLOCK } from '../../../core/dist/clock.js';
import { PluginHost, type PluginVersion } from '../../../core/dist/host/plugin-host.js';
import { replace } from '../../../core/dist/host/replacement.js';
import type { RestartLimits } from '../../../core/dist/host/supervisor.js';
import { Chronicle } from '../../../core/dist/router/chronicle.js';
import type { Elsewhere } from '../../../core/dist/router/elsewhere.js';
import { Followers } from '../../../core/dist/router/followers.js';
import { Ladder } from '../../../core/dist/router/ladder.js';
import { Leaving, type Peer, type PeerRole } from '../../../core/dist/router/peer.js';
import { recover } from '../../../core/dist/router/recovery.js';
import { Registry, unknownHere } from '../../../core/dist/router/registry.js';
import type { OpenRequest, Runner } from '../../../core/dist/router/request.js';
import { Requests } from '../../../core/dist/router/requests.js';
import { Telemetry } from '../../../core/dist/router/telemetry.js';
import { Verbs } from '../../../core/dist/router/verbs.js';
import type { Bounds } from '../../../core/dist/shares.js';
import { FakeInstance, type Given } from '../host/fake-instance.ts';
import { TestLog } from '../store/opened.ts';
import { MemoryStore } from './memory-store.ts';

/** A client that remembers what it was sent. */
export class TestPeer implements Peer {
  open = true;
  backlog = 0;
  readonly heard: string[] = [];
  readonly roles: ReadonlySet<PeerRole>;
  readonly grant;
  readonly #leaving = new Leaving();

  constructor(
    readonly identity: string,
    ...roles: PeerRole[]
  ) {
    this.roles = new Set(roles.length > 0 ? roles : ['client']);
    this.grant = { identity, fingerprint: '', roles: [] };
  }

  send(message: string): void {
    this.heard.push(message);
  }
  onLeft(listener: () => void): void {
    this.#leaving.add(listener);
  }
  leave(): void {
    this.open = false;
    this.#leaving.over();
  }

  /** The acknowledgements of a token: `accepted`, `duplicate`, or the code of the refusal. */
  acks(token: string): string[] {
    return this.heard.flatMap((message) => {
      if (!message.startsWith(`[ACK] [${token}] `)) return [];
      const { code, data } = JSON.parse(parseReply(message).data) as { code: number; data: JsonObject };
      return [code === 1 ? String(data.error) : data.duplicate === true ? 'duplicate' : 'accepted'];
    });
  }
}

export function action(name: string, change: Partial<ActionManifest> = {}): ActionManifest {
  return {
    ...unknownHere(name).manifest,
    access: ['client', 'node'],
    input: { type: 'object' },
    concurrency: 2,
    timeoutSeconds: 30,
    ...change,
  };
}

export const ACTIONS = [
  action('ONCE'),
  action('AGAIN', { idempotent: true, inFlight: 'requeue' }),
  action('ASK', { reply: 'ack', idempotent: true }),
];

export function manifest(change: Partial<Manifest> = {}): Manifest {
  return {
    api: 1,
    sdk: '0',
    type: 'work',
    title: 'Works',
    actions: ACTIONS,
    emits: [],
    listens: [],
    codes: { STEP: 10 },
    instances: { pool: 1 },
    isolation: 'process',
    kill: null,
    config: null,
    unexpressed: [],
    hash: '',
    ...change,
  };
}

/** Other nodes: it keeps what was submitted until rows of the node come. */
export class FakeElsewhere implements Elsewhere, Runner {
  readonly elsewhere = true;
  readonly has = new Set<OpenRequest>();
  knows(target: string): boolean {
    return target === 'paris';
  }
  mayKnow(): boolean {
    return true;
  }
  targetFault(): undefined {
    return undefined;
  }
  action(name: string, local?: { manifest: ActionManifest }) {
    return { manifest: (local ?? unknownHere(name)).manifest, type: '', executor: this, fault: () => undefined };
  }
  resume(open: OpenRequest): void {
    this.submit(open);
  }
  admit(): undefined {
    return undefined;
  }
  submit(open: OpenRequest): void {
    this.has.add(open);
    open.started(Date.now(), open.wantedUntil);
  }
  abort(): void {}
  withdraw(open: OpenRequest): void {
    this.has.delete(open);
  }
}

const BOUNDS: Bounds = { count: 1000, bytes: 1e6, perIdentity: { count: 500, bytes: 5e5 } };

/** A router with one plugin, over a store, without a socket or a process. */
export class World {
  readonly log = new TestLog();
  readonly instances: FakeInstance[] = [];
  /** Each time that a request was handed to a process or node. */
  readonly given: string[] = [];
  readonly registry = new Registry();
  readonly telemetry = new Telemetry();
  readonly chronicle = new Chronicle(CLOCK);
  readonly verbs = new Verbs(this.log as never);
  readonly elsewhere = new FakeElsewhere();
  readonly followers: Followers;
  readonly requests: Requests;
  readonly ladder: Ladder;
  readonly host: PluginHost;

  #alive = true;
  readonly #restart: RestartLimits;

  constructor(
    readonly disk: MemoryStore = new MemoryStore(),
    {
      open = BOUNDS,
      declared = manifest(),
      restart = { max: 1000, withinMs: 60_000 },
    }: { open?: Bounds; declared?: Manifest; restart?: RestartLimits } = {},
    private readonly onGiven: (given: Given, instance: FakeInstance) => void = () => {},
  ) {
    const { registry, telemetry, elsewhere } = this;
    this.#restart = restart;
    const log = this.log as never;
    const clock = Date;
    const store = this.#store();
    this.followers = new Followers({
      store,
      log,
      follows: { count: 100, perIdentity: { count: 50 } },
      bufferBytes: 10_000,
    });
    const { followers } = this;
    this.requests = new Requests({ store, followers, telemetry, open, clock, log });
    const { requests } = this;
    const { verbs } = this;
    const id = 'central';
    this.ladder = new Ladder({
      id,
      maxMessage: 1e6,
      store,
      registry,
      requests,
      followers,
      elsewhere,
      verbs,
      telemetry,
      chronicle: this.chronicle,
      clock,
      log,
    });
    const nothing = () => {};
    this.host = new PluginHost(this.version(declared), {
      requests,
      chronicle: this.chronicle,
      message: nothing,
      ready: nothing,
      gone: nothing,
    });
    registry.add(declared, this.host);
  }

  /** The store of this process: once that is killed, nothing of it is written or answered any more. */
  #store(): Pick<MemoryStore, 'accept' | 'append' | 'adopt' | 'find' | 'query' | 'unsettled'> {
    const { disk } = this;
    const never = <T>() => new Promise<T>(() => {});
    return {
      accept: (...asked) => (this.#alive ? disk.accept(...asked) : never()),
      append: (...asked) => (this.#alive ? disk.append(...asked) : never()),
      adopt: (...asked) => (this.#alive ? disk.adopt(...asked) : never()),
      find: (...asked) => (this.#alive ? disk.find(...asked) : never()),
      query: (...asked) => (this.#alive ? disk.query(...asked) : never()),
      unsettled: (...asked) => (this.#alive ? disk.unsettled(...asked) : never()),
    };
  }

  /** kill -9. */
  kill(): void {
    this.#alive = false;
    this.disk.crash();
  }

  version(declared: Manifest): PluginVersion {
    return {
      manifest: declared,
      package: 'work',
      version: '1',
      allowsCallers: false,
      generation: {
        manifest: declared,
        restart: this.#restart,
        clock: Date,
        log: this.log as never,
        keys: { of: async () => [], add: () => {} },
        maxInstances: 4,
        startTurn: async () => () => {},
        memoryOf: () => null,
        launch: (options, events) => {
          const instance = new FakeInstance(options, events, (given) => {
            if (!this.#alive) return;
            this.given.push(given.token);
            this.onGiven(given, instance);
          });
          this.instances.push(instance);
          queueMicrotask(() => instance.ready());
          return instance;
        },
        instance: { type: 'work', maxMessage: 1e6 } as never,
      },
    };
  }

  start(): Promise<string | undefined> {
    return this.host.start();
  }

  /** Replaces the running version of the plugin, as a reload does. */
  replace(next: PluginVersion, switched: () => void): Promise<void> {
    return replace([{ host: this.host, next, switched, switchedBack: () => {} }], () => {});
  }

  recover(): Promise<void> {
    const { registry, requests, elsewhere } = this;
    return recover({ id: 'central', store: this.#store(), registry, requests, elsewhere, clock: Date });
  }

  send(peer: Peer, name: string, token: string, data: object = {}, target = ''): void {
    this.ladder.receive(peer, Buffer.from(`[${name}] [${token}] [${target}] ${JSON.stringify(data)}`));
  }

  /** What processes run now. */
  get running(): { given: Given; instance: FakeInstance }[] {
    return this.instances
      .filter(({ gone }) => !gone)
      .flatMap((instance) => instance.running.map((given) => ({ given, instance })));
  }
}

/** Lets everything happen that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 30; i++) await Promise.resolve();
}
