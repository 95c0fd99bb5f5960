import { type Client, connect } from '@centreond/client';
import { type Identity, until } from '../daemon-process.ts';
import { Machine, type MachineOptions, PROXY, PULL, routerKey } from './machine.ts';
import { Network } from './network.ts';
import { Wire } from './wire.ts';

const CLIENTS = ['alice', 'bob', 'carol'] as const;
/** How many daemons start at a time. */
const STARTS = 3;
/** How long a fleet may take to be up, for each poller. */
const UP_MS = 5000;

export interface FleetPlan {
  readonly push?: number;
  readonly pull?: number;
  /** Of the central, besides its nodes. */
  readonly central?: Partial<MachineOptions>;
  /** Of every poller. */
  readonly poller?: Partial<MachineOptions>;
}

/** A node as CONSTATUS shows it. */
export interface NodeStatus {
  readonly id: string;
  readonly state: 'up' | 'connecting' | 'unreachable';
  readonly [key: string]: unknown;
}

/** A node of the fleet, and the wire between it and its router. */
export interface Poller {
  readonly id: string;
  readonly kind: 'push' | 'pull';
  readonly machine: Machine;
  readonly wire: Wire;
}

let names = 0;
/** A token of its own for each try of a test, also where that is tried again on the same fleet. */
export function fresh(name: string): string {
  return `${name}-${++names}`;
}

/** A central and its pollers, each on a machine of its own, each behind a wire of its own. */
export class Fleet {
  readonly network = new Network();
  readonly pollers: Poller[] = [];
  readonly #clients: Client[] = [];
  readonly #wires: Wire[] = [];
  readonly #machines: Machine[] = [];
  #central: Machine | undefined;
  readonly #identities = new Map<string, Identity>();
  #alice: Client | undefined;
  #watcher: Promise<Client> | undefined;

  /** Starts all of it; resolves when every poller is up. */
  static async start({ push = 0, pull = 0, central, poller = {} }: FleetPlan): Promise<Fleet> {
    const fleet = await Fleet.prepare(central);
    try {
      await inLanes(push, (i) => fleet.#addPush(`push-${i + 1}`, poller));
      await inLanes(pull, (i) => fleet.#addPull(`pull-${i + 1}`, poller));
      const nodes = fleet.#pushed();
      if (push > 0) fleet.central.settings.plugins?.push({ package: PROXY, config: { nodes } });
      await fleet.start(fleet.pollers.map(({ machine }) => machine));
      await fleet.whenUp();
      return fleet;
    } catch (error) {
      await fleet.close();
      throw error;
    }
  }

  /** A central and nothing else, not started: the test builds the rest, and calls {@link start}. */
  static async prepare(central: Partial<MachineOptions> = {}): Promise<Fleet> {
    const fleet = new Fleet();
    fleet.#central = await fleet.machine({ ...central, id: 'central', door: true });
    for (const name of CLIENTS) fleet.#identities.set(name, fleet.central.client(name));
    return fleet;
  }

  /** Starts the central and `machines`. */
  async start(machines: readonly Machine[]): Promise<void> {
    await this.central.start();
    await inLanes(machines.length, (i) => (machines[i] as Machine).start());
    this.#alice = await this.connect('alice');
  }

  get central(): Machine {
    return this.#central as Machine;
  }

  /** A client of the central, connected to it directly. */
  get alice(): Client {
    return this.#alice as Client;
  }

  poller(id: string): Poller {
    const found = this.pollers.find((poller) => poller.id === id);
    if (!found) throw new Error(`there is no poller ${id}`);
    return found;
  }

  /** A machine on this network, not started. */
  async machine(options: Omit<MachineOptions, 'host' | 'key'>): Promise<Machine> {
    const machine = new Machine({ ...options, host: this.network.host(), key: routerKey() });
    this.#machines.push(machine);
    return machine;
  }

  /** A wire to a machine's door. */
  async wireTo(machine: Machine): Promise<Wire> {
    const near = { address: this.network.address, port: this.network.nextPort() };
    const wire = await Wire.between(near, machine.socketAddress);
    this.#wires.push(wire);
    return wire;
  }

  /** A client of the central, over `wire` where one is given. */
  async connect(name: (typeof CLIENTS)[number], wire?: Wire): Promise<Client> {
    const door = this.central.door(this.#identities.get(name) as Identity);
    const client = await connect({ ...door, ...(wire && { address: wire.endpoint }), timeoutMs: 30_000 });
    this.#clients.push(client);
    return client;
  }

  /** A machine's own client, over the socket in its folder. */
  async local(machine: Machine): Promise<Client> {
    const client = await connect({ address: machine.socket, timeoutMs: 30_000 });
    this.#clients.push(client);
    return client;
  }

  async #addPush(id: string, settings: Partial<MachineOptions>): Promise<void> {
    const machine = await this.machine({ ...settings, id, door: true });
    machine.clients.push({ identity: 'central', fingerprint: this.central.fingerprint, roles: ['router'] });
    this.pollers.push({ id, kind: 'push', machine, wire: await this.wireTo(machine) });
  }

  #pushed(): object[] {
    return this.pollers
      .filter(({ kind }) => kind === 'push')
      .map(({ id, machine, wire }) => ({
        id,
        type: 'push',
        address: wire.endpoint,
        fingerprint: machine.fingerprint,
      }));
  }

  async #addPull(id: string, settings: Partial<MachineOptions>): Promise<void> {
    const wire = await this.wireTo(this.central);
    const router = { address: wire.endpoint, fingerprint: this.central.fingerprint };
    const plugins = [...(settings.plugins ?? []), { package: PULL, allowCore: true, config: { router } }];
    const machine = await this.machine({ ...settings, id, door: false, plugins });
    this.central.clients.push({ identity: id, fingerprint: machine.fingerprint, roles: ['node'] });
    this.pollers.push({ id, kind: 'pull', machine, wire });
  }

  /** What the central says of its nodes. */
  async nodes(): Promise<NodeStatus[]> {
    this.#watcher ??= this.local(this.central);
    return (await (await this.#watcher).send('CONSTATUS')).data.nodes as unknown as NodeStatus[];
  }

  /** The state in which the central sees a node. */
  async stateOf(id: string): Promise<string | undefined> {
    return (await this.nodes()).find((node) => node.id === id)?.state;
  }

  /** Resolves when every poller is up. */
  async whenUp(limitMs = 20_000 + UP_MS * this.pollers.length): Promise<void> {
    const notUp = async () => {
      const up = new Set((await this.nodes()).filter(({ state }) => state === 'up').map(({ id }) => id));
      return this.pollers.map(({ id }) => id).filter((id) => !up.has(id));
    };
    let missing: string[] = [];
    await until(
      'all nodes are up',
      async () => {
        missing = await notUp();
        return missing.length === 0;
      },
      limitMs,
    ).catch((error: Error) => {
      throw new Error(`${error.message}; these are not: ${missing.map((id) => this.#toldOf(id)).join('\n')}`);
    });
  }

  /** The last that a node and the central have logged about each other. */
  #toldOf(id: string): string {
    const { machine } = this.poller(id);
    const last = (text: string, word = '') =>
      text
        .split('\n')
        .filter((line) => line !== '' && line.includes(word))
        .slice(-8)
        .join('\n  ');
    return `${id}, which logged\n  ${last(machine.stderr)}\nand of which the central logged\n  ${last(this.central.stderr, id)}`;
  }

  /** Ends everything, and removes it. */
  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    for (const wire of this.#wires) wire.close();
    await Promise.all(this.#machines.map((machine) => machine.dispose()));
    this.network.close();
  }
}

/** Does `count` things, a few at a time. */
async function inLanes(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: STARTS }, lane));
}
