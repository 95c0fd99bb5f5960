import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CLOCK } from '../../../core/dist/clock.js';
import { type Config, loadConfig } from '../../../core/dist/config/config.js';
import { Loader } from '../../../core/dist/host/loader.js';
import { Events } from '../../../core/dist/router/events.js';
import { Tickets } from '../../../core/dist/router/instance-link.js';
import type { Placement, StandIn } from '../../../core/dist/router/placement.js';
import type { OpenRequest } from '../../../core/dist/router/request.js';
import { action, manifest, TestPeer, World } from '../router/world.ts';
import { folder } from '../store/opened.ts';
import { FakeInstance } from './fake-instance.ts';

/** Gives the turns that a test says. */
export class FakePlacement implements Placement {
  /** Whether a plugin that begins to compete has its turn at once. */
  atOnce = false;
  runsOn: string | undefined = 'other';
  readonly competing = new Map<string, (isMine: boolean) => Promise<void>>();
  readonly passed: string[] = [];
  /** Requests that stand-ins were given and that have not been handed over. */
  readonly held: OpenRequest[] = [];
  readonly aborted: string[] = [];
  /** Called when a plugin competes no more. */
  withdrew: (type: string) => void = () => {};

  compete(type: string, turn: (isMine: boolean) => Promise<void>): () => void {
    this.competing.set(type, turn);
    if (this.atOnce) void turn(true);
    return () => {
      this.competing.delete(type);
      this.withdrew(type);
    };
  }

  pass(type: string): void {
    this.passed.push(type);
  }

  standIn(): StandIn {
    const { held, aborted } = this;
    return {
      admit: () => undefined,
      submit: (open) => void held.push(open),
      abort: (open) => void aborted.push(open.token),
      withdraw: (open) => void held.splice(held.indexOf(open) >>> 0, 1),
      hearers: () => [],
      ids: () => [],
      kill: async () => {},
      runsOn: () => this.runsOn,
      takeBack: () => held.splice(0),
    };
  }

  turn(type: string, isMine: boolean): Promise<void> {
    const tell = this.competing.get(type);
    if (!tell) throw new Error(`${type} does not compete`);
    return tell(isMine);
  }
}

export interface Declared {
  readonly placement?: 'each' | 'one';
  readonly action?: string;
  readonly listens?: readonly { event: string; method: string }[];
}

/** A router with the plugins of a config, without a socket or a process. */
export class Site {
  readonly world = new World(undefined, { declared: manifest({ type: 'else', actions: [action('ELSE')] }) });
  readonly placement = new FakePlacement();
  readonly instances: FakeInstance[] = [];
  /** Whether a process that starts is ready at once, dies, or is left as it is. */
  starts: 'ready' | 'dead' | 'slowly' = 'ready';
  /** Whether the plugins of the config share a process. */
  isShared = false;
  readonly peer = new TestPeer('alice');
  readonly events = new Events(this.world.registry, this.world.log as never, this.world.verbs, this.world.chronicle);
  readonly #folder = folder();
  #loader: Loader | undefined;

  get loader(): Loader {
    if (!this.#loader) throw new Error('the router is not open');
    return this.#loader;
  }

  /** Writes the package of the plugin `type`. */
  install(type: string, { placement, action: name = type.toUpperCase(), listens = [] }: Declared = {}): void {
    const {
      sdk: _,
      hash: __,
      ...declared
    } = manifest({ type, actions: [action(name, { title: 'Runs', method: 'run' })], listens });
    const whole = { ...declared, ...(placement === 'one' && { placement }) };
    const hash = createHash('sha256').update(JSON.stringify(whole)).digest('hex');
    const at = path.join(this.#folder, type);
    mkdirSync(at, { recursive: true });
    const write = (file: string, content: object) => writeFileSync(path.join(at, file), JSON.stringify(content));
    write('package.json', { name: type, version: '1.0.0', exports: './main.js' });
    write('plugin.manifest.json', { ...whole, sdk: '0', hash });
    writeFileSync(path.join(at, 'main.js'), '');
  }

  async config(...types: string[]): Promise<Config> {
    const file = path.join(this.#folder, 'centreond.yaml');
    const plugins = types.map((type) => ({
      package: `./${type}`,
      restart: { max: 1, within: '60s' },
      ...(this.isShared && { process: 'shared' }),
    }));
    writeFileSync(file, JSON.stringify({ core: { id: 'central' }, plugins }));
    const { config, problems } = await loadConfig({ file, cwd: this.#folder });
    if (!config) throw new Error(problems.map(({ message }) => message).join('\n'));
    return config;
  }

  /** Registers the plugins of a config. They start with {@link start}. */
  async open(...types: string[]): Promise<void> {
    const { world, placement } = this;
    this.#loader = new Loader(await this.config(...types), {
      registry: world.registry,
      coreActions: [],
      placement,
      requests: world.requests,
      chronicle: world.chronicle,
      endpoint: '',
      tickets: new Tickets(),
      mark: 'test:',
      notes: this.#folder,
      clock: CLOCK,
      log: world.log as never,
      keys: { of: async () => [], add: () => {} },
      message: () => {},
      ready: (hearer) => this.events.ready(hearer.type, hearer),
      gone: (hearer) => this.events.gone(hearer),
      launch: (options, events) => {
        const instance = new FakeInstance(options, events);
        this.instances.push(instance);
        queueMicrotask(() => {
          if (this.starts === 'ready') instance.ready();
          else if (this.starts === 'dead') instance.exit('exit code 1');
        });
        return instance;
      },
    });
    this.loader.addAll();
  }

  start(): Promise<void> {
    return this.loader.start();
  }

  /** Opens and starts a router with one plugin that runs on one router at a time. */
  async run(type: string, isMine: boolean): Promise<void> {
    this.install(type, { placement: 'one' });
    this.placement.atOnce = isMine;
    await this.open(type);
    await this.start();
    this.placement.atOnce = false;
  }

  /** The types whose processes run now. */
  get running(): string[] {
    return this.instances.filter(({ gone }) => !gone).map(({ type }) => type);
  }
  /** What the processes were given to run and have not ended. */
  get given(): string[] {
    return this.instances.filter(({ gone }) => !gone).flatMap(({ running }) => running.map(({ token }) => token));
  }
  get held(): string[] {
    return this.placement.held.map(({ token }) => token);
  }

  state(type: string): string | undefined {
    return this.world.registry.executorOf(type)?.status().state;
  }

  send(name: string, token: string): void {
    this.world.send(this.peer, name, token);
  }
}
