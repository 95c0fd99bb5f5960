import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

/** Names of namespaces and links begin with this and the pid of the run that made them; 15 characters at most. */
const PREFIX = 'ctd';
const OURS = /^ctd(\d+)-/;
/** The ports of what listens for the tests: below those that the kernel gives to outgoing connections. */
const FIRST_PORT = 20_000;

let names = 0;
function newName(): string {
  return `${PREFIX}${process.pid}-${(names++).toString(36)}`;
}

/** A machine of the test's network: an address of its own. */
export interface Host {
  readonly address: string;
  /** Runs a program on this machine. */
  readonly wrapper: readonly string[];
  /** Takes the cable out: packets are lost, and no end is told. Only where {@link Network.isolated}. */
  unplug(): void;
  plug(): void;
  /**
   * Delays (ms) and loses (percent) what this machine sends, by netem. False where the kernel has none: use a wire's delay.
   * Zeros take it away.
   */
  impair(delayMs: number, lossPercent?: number): boolean;
}

/**
 * Machines for daemons: network namespaces on a bridge where this machine allows them, else addresses of the loopback.
 * What a run that crashed left behind is removed by the next one.
 */
export class Network {
  /** Namespaces, and not the loopback. */
  readonly isolated: boolean;
  /** The address at which the tests themselves listen. */
  readonly address: string;
  readonly #net: string;
  readonly #bridge = newName();
  readonly #namespaces: string[] = [];
  #hosts = 0;
  #port = FIRST_PORT;

  constructor() {
    removeLeftovers();
    const net = freeNet();
    this.isolated = net !== undefined && this.#makeBridge(net);
    this.#net = this.isolated ? (net as string) : `127.${(process.pid % 250) + 1}.${(process.pid >> 8) % 250}`;
    this.address = `${this.#net}.1`;
  }

  /** What the tests run on, for their report. */
  get description(): string {
    return this.isolated ? `network namespaces on ${this.#net}.0/24` : `loopback addresses ${this.#net}.x`;
  }

  #makeBridge(net: string): boolean {
    const bridge = this.#bridge;
    const made = ip([
      `link add ${bridge} type bridge`,
      `addr add ${net}.1/24 dev ${bridge}`,
      `link set ${bridge} up`,
      // Whether namespaces are allowed is only known by making one.
      `netns add ${bridge}`,
      `netns del ${bridge}`,
    ]);
    if (!made) ip([`link del ${bridge}`]);
    return made;
  }

  /** A new machine. At most 250. */
  host(): Host {
    const number = ++this.#hosts;
    const address = `${this.#net}.${number + 1}`;
    if (!this.isolated) {
      const never = () => {
        throw new Error('a loopback address has no cable');
      };
      return { address, wrapper: [], unplug: never, plug: never, impair: () => false };
    }
    const name = newName();
    this.#namespaces.push(name);
    const inside = (...commands: string[]) => ip(commands, name);
    const made =
      ip([
        `netns add ${name}`,
        `link add ${name} type veth peer name eth0 netns ${name}`,
        `link set ${name} master ${this.#bridge}`,
        `link set ${name} up`,
      ]) && inside(`addr add ${address}/24 dev eth0`, 'link set eth0 up', 'link set lo up');
    if (!made) throw new Error(`the network namespace ${name} could not be made`);
    return {
      address,
      wrapper: ['ip', 'netns', 'exec', name],
      unplug: () => void ip([`link set ${name} down`]),
      plug: () => void ip([`link set ${name} up`]),
      impair: (delayMs, lossPercent = 0) => impair(name, delayMs, lossPercent),
    };
  }

  /** A port that nothing of this network uses yet. */
  nextPort(): number {
    return this.#port++;
  }

  /** Removes all of it; the daemons have ended before. */
  close(): void {
    removeNamespaces(this.#namespaces, false);
    if (this.isolated) ip([`link del ${this.#bridge}`]);
  }
}

/** Runs `ip` once for several commands; whether all of them succeeded. */
function ip(commands: readonly string[], namespace?: string): boolean {
  // -force: goes on after one that failed, and says so at the end.
  const args = [...(namespace === undefined ? [] : ['-n', namespace]), '-force', '-batch', '-'];
  return spawnSync('ip', args, { input: `${commands.join('\n')}\n` }).status === 0;
}

function output(...args: string[]): string {
  return spawnSync('ip', args, { encoding: 'utf8' }).stdout ?? '';
}

/** A /24 of the block that is set aside for tests of networks (RFC 2544), used by nobody here. */
function freeNet(): string | undefined {
  if (spawnSync('ip', ['-V']).status !== 0) return undefined;
  const taken = output('-br', 'addr');
  for (let tries = 0; tries < 256; tries++) {
    const net = `198.18.${(process.pid + tries) % 256}`;
    if (!taken.includes(` ${net}.`)) return net;
  }
  return undefined;
}

function impair(namespace: string, delayMs: number, lossPercent: number): boolean {
  const tc = (...args: string[]) => spawnSync('tc', ['-n', namespace, 'qdisc', ...args]).status === 0;
  if (delayMs === 0 && lossPercent === 0) return tc('del', 'dev', 'eth0', 'root');
  return tc('replace', 'dev', 'eth0', 'root', 'netem', 'delay', `${delayMs}ms`, 'loss', `${lossPercent}%`);
}

/** Removes namespaces, and ends what still runs in them: what is left of a run that crashed. */
function removeNamespaces(names: readonly string[], endProcesses: boolean): void {
  if (names.length === 0) return;
  const pids = endProcesses ? names.flatMap((name) => output('netns', 'pids', name).split('\n').filter(Boolean)) : [];
  for (const pid of pids) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  // The links first: a namespace goes only when its last socket has, and would keep its address until then.
  ip(names.map((name) => `link del ${name}`));
  ip(names.map((name) => `netns del ${name}`));
}

/** What runs that are no more left behind. */
function removeLeftovers(): void {
  const abandoned = (name: string) => {
    const pid = OURS.exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  };
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  removeNamespaces(namespaces.filter(abandoned), true);
  const links = existsSync('/sys/class/net') ? readdirSync('/sys/class/net') : [];
  for (const link of links.filter(abandoned)) ip([`link del ${link}`]);
}
