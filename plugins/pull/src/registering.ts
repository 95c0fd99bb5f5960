import { isCentreondError, type JsonObject, type Logger, reasonOf, type Transport } from '@centreond/plugin-sdk';
import type { Link, NodeState } from '@centreond/plugin-sdk/nodes';
import { Announcement } from './announcement.ts';

/** How often what is announced is compared with what there is. */
const LOOK_EVERY_MS = 5000;
const ANSWER_LIMIT_MS = 10_000;
const FAREWELL_LIMIT_MS = 1000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

export interface RegisteringOptions {
  readonly link: Link;
  readonly name: string | undefined;
  readonly transport: Transport;
  readonly log: Logger;
}

/** Keeps the router above told of what this node is: on each new link, and whenever it changed. */
export class Registering {
  readonly #options: RegisteringOptions;
  readonly #announcement: Announcement;
  #up = false;
  #stopped = false;
  /** What the router was told on the present link. */
  #told: string | undefined;
  #plain = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(options: RegisteringOptions) {
    this.#options = options;
    this.#announcement = new Announcement(options.transport, options.name);
  }

  /** The link changed: a new one has been told nothing. */
  linkIs(state: NodeState): void {
    this.#up = state === 'up';
    this.#told = undefined;
    this.#failures = 0;
    if (this.#up) this.#lookIn(0);
  }

  #lookIn(delayMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#look(), delayMs);
  }

  async #look(): Promise<void> {
    if (!this.#up || this.#looking) return;
    this.#looking = true;
    try {
      const now = await this.#announcement.read(this.#plain);
      const text = JSON.stringify(now);
      if (text !== this.#told && this.#up) {
        await this.#register(now);
        // On a new link, and harmless on one that has it.
        this.#options.link.streamLogs();
        this.#told = text;
      }
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      this.#told = undefined;
      if (this.#up) this.#report(error);
    } finally {
      this.#looking = false;
    }
    const retry = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    if (this.#up) this.#lookIn(this.#failures === 0 ? LOOK_EVERY_MS : retry);
  }

  async #register(now: JsonObject): Promise<void> {
    const { link, log } = this.#options;
    const { data } = await link.send('REGISTERNODE', now, { timeoutMs: ANSWER_LIMIT_MS });
    const { refused } = data;
    if (Array.isArray(refused) && refused.length > 0) {
      log.warn(
        `the router does not take these nodes from ${String(now.id)}: ${refused.join(', ')}; list them under subnodes of its entry in clients.authorized there`,
      );
    }
  }

  #report(error: unknown): void {
    const { log } = this.#options;
    const code = isCentreondError(error) ? error.code : '';
    // Another version may know ids only.
    if (code === 'INVALID_DATA' && !this.#plain) {
      this.#plain = true;
      this.#failures = 0;
      return;
    }
    log.warn(
      { err: error },
      code === 'FORBIDDEN'
        ? `the router does not take this machine as a node: ${reasonOf(error)} Give its entry in clients.authorized there the role node.`
        : `this machine is not registered with its router yet: ${reasonOf(error)}`,
    );
  }

  /** Takes leave, where the link is up, within a limit. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const id = this.#announcement.id;
    if (!this.#up || id === undefined) return;
    this.#up = false;
    await this.#options.link
      .send('UNREGISTERNODE', { id }, { timeoutMs: FAREWELL_LIMIT_MS })
      .catch((error: unknown) => {
        this.#options.log.warn(`the router was not told that this node leaves: ${reasonOf(error)}`);
      });
  }
}
