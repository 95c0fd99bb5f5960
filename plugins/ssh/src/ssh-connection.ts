import type { Logger } from '@centreond/plugin-sdk';
import type { NodeState } from '@centreond/plugin-sdk/nodes';
import { LinkFault } from './dial.ts';
import type { SshConfig } from './ssh-config.ts';
import { SshLink } from './ssh-link.ts';
import type { Sight } from './watch.ts';

/** Without a link for so long, the node counts as unreachable. */
const UNREACHABLE_MS = 15_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5000;
/** What only a person can fix is tried less often: a server may lock out who fails to log in. */
const LASTING_RETRY_MS = 30_000;

export interface ConnectionOptions {
  readonly config: SshConfig;
  readonly log: Logger;
  /** Called when {@link SshConnection.state}, {@link SshConnection.why} or what is seen of the node changed. */
  readonly changed: () => void;
  /** Called with each link that is up. */
  readonly up: (link: SshLink) => void;
}

/** The way to one SSH node: a link that is made again whenever it ends, until {@link close}. */
export class SshConnection {
  readonly #options: ConnectionOptions;
  readonly #stop = new AbortController();
  #state: NodeState = 'connecting';
  #why = 'is not connected yet';
  #link: SshLink | undefined;
  #last: Sight | undefined;
  #version = '';
  #late: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;
  readonly #done: Promise<void>;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#late = setTimeout(() => this.#tell('unreachable', this.#why), UNREACHABLE_MS);
    this.#done = this.#keep();
  }

  get state(): NodeState {
    return this.#state;
  }
  /** Why the node is not up: a clause for "the node X …". */
  get why(): string {
    return this.#why;
  }
  /** The link, while it is up. */
  get link(): SshLink | undefined {
    return this.#state === 'up' ? this.#link : undefined;
  }
  /** What was last seen of the other side. */
  get sight(): Sight | undefined {
    return this.#link?.sight ?? this.#last;
  }
  /** What its server calls itself. */
  get version(): string {
    return this.#version;
  }

  async #keep(): Promise<void> {
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const fault = await this.#once(() => {
        failures = 0;
      });
      if (this.#stop.signal.aborted) return;
      this.#down(fault);
      const longest = fault.lasting ? LASTING_RETRY_MS : LONGEST_RETRY_MS;
      const delay = fault.lasting ? longest : Math.min(longest, FIRST_RETRY_MS * 2 ** Math.min(failures++, 10));
      await this.#pause(delay * (0.5 + Math.random() / 2));
    }
  }

  /** One link from its beginning to its end, which it resolves with. */
  async #once(isUp: () => void): Promise<LinkFault> {
    const { config, changed, up, log } = this.#options;
    try {
      const link = await SshLink.open(config, this.#stop.signal, changed);
      this.#link = link;
      this.#version = link.version;
      clearTimeout(this.#late);
      this.#late = undefined;
      isUp();
      const over = new Promise<LinkFault>((resolve) => {
        const end = () => resolve(link.gone.reason as LinkFault);
        link.gone.addEventListener('abort', end, { once: true });
        if (link.gone.aborted) end();
      });
      log.info({ node: config.id }, `the SSH connection to ${config.id} (${config.address}) is up`);
      this.#tell('up', '');
      up(link);
      return await over;
    } catch (error) {
      return error instanceof LinkFault ? error : new LinkFault(`cannot be connected to: ${String(error)}`);
    }
  }

  #down(fault: LinkFault): void {
    this.#last = this.#link?.sight ?? this.#last;
    this.#link = undefined;
    const { config, log } = this.#options;
    // Said when it is new: a machine that is off would fill the log.
    if (fault.message !== this.#why) log.warn({ node: config.id }, `the node ${config.id} ${fault.message}`);
    if (fault.lasting) {
      clearTimeout(this.#late);
      this.#late = undefined;
      this.#tell('unreachable', fault.message);
      return;
    }
    this.#late ??= setTimeout(() => this.#tell('unreachable', this.#why), UNREACHABLE_MS);
    this.#tell(this.#state === 'unreachable' ? 'unreachable' : 'connecting', fault.message);
  }

  #tell(state: NodeState, why: string): void {
    if (this.#stop.signal.aborted || (this.#state === state && this.#why === why)) return;
    this.#state = state;
    this.#why = why;
    this.#options.changed();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends the link for good. */
  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#late);
    this.#state = 'unreachable';
    this.#why = 'is no longer carried';
    this.#link?.close();
    this.#wake?.();
    await this.#done;
  }
}
