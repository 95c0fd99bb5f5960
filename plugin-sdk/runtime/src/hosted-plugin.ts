import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Logger } from '@centreond/plugin-sdk';
import { declarationOf, type Instances, manifestOf } from '@centreond/plugin-sdk/internal';
import { failure, formatMessage, parseReply, reasonOf } from '@centreond/protocol';
import { construct, type Lifecycle, pluginOf, servicesOver } from './construct.ts';
import type { Greeting } from './greeting.ts';
import { InternalLink } from './link.ts';
import type { LinkMetrics } from './metrics.ts';
import { RowWindow } from './row-window.ts';
import { InstanceRuntime } from './runtime.ts';
import { LinkTransport } from './services.ts';
import { collectStartGarbage } from './start-garbage.ts';

/** One plugin in this process, with a link of its own to the daemon: starting, then ready, then ending. */
export class HostedPlugin {
  #link: InternalLink | undefined;
  #rows: RowWindow | undefined;
  #runtime: InstanceRuntime | undefined;
  #plugin: Lifecycle | undefined;
  #metrics: LinkMetrics | undefined;
  #ending: Promise<void> | undefined;

  /** `onStop` is called when the daemon asks the plugin to stop within so many milliseconds. */
  constructor(
    readonly greeting: Greeting,
    readonly log: Logger,
    private readonly onStop: (limitMs: number) => void,
  ) {}

  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  /** Imports, makes and starts the plugin. Resolves when its link is over; rejects with what keeps it from starting. */
  async run(): Promise<void> {
    const { greeting, log } = this;
    const target = pluginOf(await import(pathToFileURL(greeting.main).href), greeting.main);
    const link = new InternalLink(greeting.endpoint, greeting.maxMessage);
    const rows = new RowWindow(link, greeting.rowBound);
    this.#link = link;
    this.#rows = rows;
    const declared = declarationOf(target).options;
    const transport = new LinkTransport({
      wire: link,
      maxMessage: greeting.maxMessage,
      log,
      plugin: { ...declared, type: greeting.type },
    });
    // The door is entered first, so that a plugin can use its transport from its constructor on; requests come after READY.
    link.send(formatMessage('HELLO', '', '', { ticket: greeting.ticket }));
    const receiving = link.receive((bytes) => {
      if (this.#runtime?.receive(bytes)) return;
      const message = parseReply(bytes.toString());
      if (message.action === 'STOP') this.onStop((JSON.parse(message.data) as { limitMs: number }).limitMs);
      else if (message.action === 'STORED') rows.stored(Number(message.token), Number(message.target));
      else transport.receive(message);
    });
    const instance = { id: greeting.instance, of: poolOf(declared.instances), type: greeting.type };
    const services = servicesOver(transport, log, { instance });
    this.#metrics = services.metrics;
    this.#plugin = await construct(target, greeting.config, services);
    this.#runtime = new InstanceRuntime(this.#plugin, rows, log, greeting.maxMessage, greeting.as);
    const ready = { pid: process.pid, hash: manifestOf(target).hash };
    await this.#plugin.start?.();
    link.send(formatMessage('READY', '', '', ready));
    collectStartGarbage();
    await receiving;
  }

  /** Lets the plugin release what it holds. Resolves when nothing of it runs any more, or `limitMs` are over. A second call joins. */
  end(limitMs: number): Promise<void> {
    this.#ending ??= this.#end(limitMs);
    return this.#ending;
  }

  async #end(limitMs: number): Promise<void> {
    this.#rows?.release();
    this.#runtime?.abortAll(failure('INTERRUPTED', { token: 'this request' }));
    try {
      const limit = Date.now() + limitMs - 200;
      await Promise.race([this.#plugin?.stop?.(), pause(limitMs, undefined, { ref: false })]);
      while ((this.#runtime?.inFlight ?? 0) > 0 && Date.now() < limit)
        await new Promise((resolve) => setTimeout(resolve, 10));
    } catch (error) {
      this.log.error({ err: error }, `stop() threw: ${reasonOf(error)}`);
    }
  }

  /** Tells the daemon that it has stopped, and closes its link. Resolves as soon as the daemon has all, `limitMs` at most. */
  async leave(limitMs: number): Promise<void> {
    this.#metrics?.flush();
    this.#link?.send(formatMessage('STOPPED', '', ''));
    await this.#link?.close(limitMs);
  }
}

function poolOf(instances: Instances | undefined): number {
  return instances && 'pool' in instances ? instances.pool : 1;
}
