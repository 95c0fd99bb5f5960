import 'reflect-metadata';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  Action,
  type ActionContext,
  CONFIG,
  type CodesOf,
  failure,
  INSTANCE,
  type Instance,
  inject,
  LOGGER,
  type Logger,
  Plugin,
  reasonOf,
  STATE,
  type State,
  TOKEN_STORE,
  type TokenStore,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import { z } from 'zod';
import { Bulletin, type Changed, CODES, type Taken } from './bulletin.ts';
import { Fleet } from './fleet.ts';
import { Config, doorOf, NODES_LIMIT, NodeConfig } from './node-config.ts';
import { NodeId } from './node-fields.ts';
import { digestOf, Roster } from './roster.ts';
import { instanceOf } from './share.ts';

/** How long the instance that carries a node may take to take up a change. */
const TAKE_LIMIT_MS = 10_000;
/** How long a new version waits for what is up by the old one to be up by it. */
const HANDOVER_MS = 3000;
const ANSWER_LIMIT_MS = 1000;

const Added = z.strictObject({
  id: z.string(),
  added: z.boolean().describe('false: it was there already, with the same settings'),
});
const Named = z.strictObject({ id: NodeId });
const Deleted = z.strictObject({ id: z.string(), deleted: z.boolean().describe('false: there was none') });
const Nodes = z.object({ nodes: z.array(z.object({ id: z.string(), state: z.string() })) });

interface Waiting {
  readonly id: string;
  readonly digest: string | null;
  taken(fault: string | null): void;
}

/** Carries requests to the nodes that this router reaches, each by one instance of the pool. */
@Plugin({
  type: 'proxy',
  title: 'Carries requests to pushed nodes and SSH nodes',
  config: Config,
  codes: {
    CARRIER: { code: CODES.CARRIER, title: 'carrier announced' },
    CHANGED: { code: CODES.CHANGED, title: 'node changed' },
    TAKEN: { code: CODES.TAKEN, title: 'change taken' },
  },
  instances: { pool: 2 },
})
export default class ProxyPlugin {
  readonly #roster: Roster;
  readonly #fleet: Fleet;
  readonly #bulletin: Bulletin;
  readonly #waiting = new Set<Waiting>();
  #changing: Promise<unknown> = Promise.resolve();
  #routerId: Promise<string> | undefined;

  constructor(
    @inject(CONFIG, Config) config: Config,
    @inject(STATE) state: State,
    @inject(TRANSPORT) private readonly transport: Transport,
    @inject(TOKEN_STORE) tokens: TokenStore<CodesOf<typeof CODES>>,
    @inject(LOGGER) private readonly log: Logger,
    @inject(INSTANCE) private readonly instance: Instance,
  ) {
    this.#roster = new Roster(config, state, log);
    this.#fleet = new Fleet({ transport, state, log });
    this.#bulletin = new Bulletin({
      state,
      tokens,
      log,
      instance,
      changed: (post) => this.#onChanged(post),
      taken: (post) => this.#onTaken(post),
    });
  }

  async start(): Promise<void> {
    // First, so that nothing changes unheard after the roster was read.
    await this.#bulletin.open();
    await this.#exclusively(async () => {
      await this.#roster.read();
      if (this.instance.id === '1') await this.#roster.publishIds();
      for (const node of this.#roster.all()) if (this.#isMine(node.id)) await this.#fleet.bringOrTell(node);
      this.#fleet.announce();
    });
    await this.#takeOver();
  }

  /** During a reload: what is up is to stay up, so its links are made before the version that has them ends. */
  async #takeOver(): Promise<void> {
    try {
      const { nodes } = Nodes.parse((await this.transport.send('CONSTATUS', {})).data);
      const up = nodes.filter(({ state }) => state === 'up').map(({ id }) => id);
      await this.#fleet.whenUp(up, HANDOVER_MS);
    } catch (error) {
      this.log.debug({ err: error }, `which nodes are up is not known: ${reasonOf(error)}`);
    }
  }

  async stop(): Promise<void> {
    this.#bulletin.close();
    const none = new Set<string>();
    const outdated = this.#roster.outdated().catch((error: unknown) => {
      this.log.debug({ err: error }, `the newer config is not known: ${reasonOf(error)}`);
      return none;
    });
    // A router that is gone answers no more, and the links are to be closed all the same.
    const gone = await Promise.race([outdated, pause(ANSWER_LIMIT_MS, none)]);
    await this.#fleet.close(gone);
  }

  @Action('ADDNODE', {
    title: 'Carry a node, from now on and over any restart',
    description:
      'In the shape of the config. Ends once the node is at work, whether it answers or not. Adding what is already there changes nothing.',
    input: NodeConfig,
    output: Added,
    access: 'admin',
    effects: 'write',
    idempotent: true,
    inFlight: 'requeue',
  })
  async add(node: NodeConfig, context: ActionContext): Promise<z.input<typeof Added>> {
    const { id } = node;
    const routerId = await this.#ownId();
    const added = await this.#exclusively(async () => {
      const fault = id === routerId ? `${id} is this router` : this.#conflict(node);
      if (fault !== undefined) throw failure('INVALID_DATA', { action: 'ADDNODE', reason: fault });
      if (this.#roster.get(id)) return false;
      if (this.#roster.size >= NODES_LIMIT) throw failure('BUSY', { what: 'the list of nodes', limit: NODES_LIMIT });
      await this.#roster.keep(node);
      return true;
    });
    if (this.#roster.inConfig(id)) return { id, added };
    const fault = await this.#inEffect(id, digestOf(node), context);
    if (fault === null) return { id, added };
    await this.#exclusively(() => this.#roster.forget(id));
    await this.#inEffect(id, null, context);
    throw failure('INVALID_DATA', { action: 'ADDNODE', reason: fault });
  }

  @Action('DELNODE', {
    title: 'Carry a node that ADDNODE added no more',
    description: 'What it runs goes on there; requests that it does not have yet end NODE_UNREACHABLE.',
    input: Named,
    output: Deleted,
    access: 'admin',
    effects: 'destructive',
    idempotent: true,
    inFlight: 'requeue',
  })
  async delete({ id }: z.output<typeof Named>, context: ActionContext): Promise<z.input<typeof Deleted>> {
    if (this.#roster.inConfig(id)) {
      const remedy =
        'It stands in the config of the plugin proxy, under nodes: take it out there, then reload the plugin.';
      throw failure('FORBIDDEN', { identity: context.identity, what: `delete the node ${id}`, remedy });
    }
    const deleted = await this.#exclusively(async () => {
      const known = this.#roster.get(id) !== undefined;
      await this.#roster.forget(id);
      return known;
    });
    await this.#inEffect(id, null, context);
    return { id, deleted };
  }

  /** Why there cannot be such a node beside those that there are. */
  #conflict(node: NodeConfig): string | undefined {
    const { id } = node;
    const there = this.#roster.get(id);
    if (there && !isDeepStrictEqual(there, node)) {
      return this.#roster.inConfig(id)
        ? `the config has a node ${id} with other settings; change it there, then reload the plugin proxy`
        : `there is a node ${id} with other settings; DELNODE it first`;
    }
    const door = doorOf(node);
    if (door === undefined) return undefined;
    const other = this.#roster.all().find((one) => one.id !== id && doorOf(one) === door);
    return other && `its address is that of the node ${other.id}`;
  }

  #ownId(): Promise<string> {
    this.#routerId ??= this.transport.send('PING', {}).then(({ data }) => String(data.id));
    this.#routerId.catch(() => {
      this.#routerId = undefined;
    });
    return this.#routerId;
  }

  #isMine(id: string): boolean {
    return instanceOf(id, this.instance.of) === this.instance.id;
  }

  // ---- between the instances --------------------------------------------------------------------------------------

  /** Has a change taken up by the instance that carries the node. Resolves with what is wrong with its settings, or null. */
  async #inEffect(id: string, digest: string | null, { identity: by, signal }: ActionContext): Promise<string | null> {
    const { promise, resolve, reject } = Promise.withResolvers<string | null>();
    // It may be rejected before anybody awaits it.
    promise.catch(() => undefined);
    const type = `${this.instance.type}/${instanceOf(id, this.instance.of)}`;
    const reason = `it has not taken up the change of ${id} within ${TAKE_LIMIT_MS / 1000} s; the change is kept, and it takes it up when it is back`;
    const late = () => reject(failure('NOT_READY', { type, state: 'silent', reason }));
    const timer = setTimeout(late, TAKE_LIMIT_MS);
    const onAbort = () => reject(signal.reason);
    const waiting: Waiting = { id, digest, taken: resolve };
    this.#waiting.add(waiting);
    try {
      signal.throwIfAborted();
      signal.addEventListener('abort', onAbort, { once: true });
      await this.#bulletin.tellChanged({ id, by });
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#waiting.delete(waiting);
    }
  }

  #onTaken({ id, digest, fault }: Taken): void {
    for (const waiting of this.#waiting) {
      if (waiting.id === id && waiting.digest === digest) waiting.taken(fault);
    }
  }

  #onChanged({ id }: Changed): void {
    this.#exclusively(() => this.#takeUp(id)).catch((error: unknown) => {
      this.log.error({ err: error, node: id }, `a change of the node ${id} was not taken up: ${reasonOf(error)}`);
    });
  }

  async #takeUp(id: string): Promise<void> {
    await this.#roster.refresh(id);
    if (!this.#isMine(id)) return;
    const node = this.#roster.get(id);
    let fault: string | undefined;
    if (node) {
      fault = await this.#fleet.bringOrTell(node);
      this.#fleet.announce();
    } else await this.#fleet.drop(id);
    const digest = node ? digestOf(node) : null;
    await this.#bulletin.tellTaken({ id, instance: this.instance.id, digest, fault: fault ?? null });
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#changing.then(work);
    this.#changing = result.catch(() => undefined);
    return result;
  }
}
