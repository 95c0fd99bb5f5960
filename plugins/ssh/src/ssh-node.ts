import type { CarriedNode, NodeOptions } from '@centreond/carrying';
import { type Ack, failure } from '@centreond/plugin-sdk';
import type { CarriedRequest, NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import { Commands } from './commands.ts';
import { Ledger } from './ledger.ts';
import { NodeLog } from './node-log.ts';
import type { SshConfig } from './ssh-config.ts';
import { SshConnection } from './ssh-connection.ts';
import { FILES_ACTIONS, SshFiles } from './ssh-files.ts';

const ACTIONS = ['CANCEL', 'COMMAND', 'PING', ...FILES_ACTIONS] as const;
/** What a node's announcement takes of a reason. */
const REASON_CHARACTERS = 1024;
/** What runs gets so long to end, and after that its rows to be taken. */
const STOP_MS = 1200;
const ROWS_MS = 500;

/**
 * A node without a daemon: this instance is the executing node in its stead, over one SSH connection. It runs commands as the
 * plugin action does on a daemon, with the same rows, codes and limits.
 */
export class SshNode implements CarriedNode {
  readonly #config: SshConfig;
  readonly #connection: SshConnection;
  readonly #ledger: Ledger;
  readonly #rows: NodeLog;
  readonly #commands: Commands;
  readonly #files: SshFiles;
  #closing: Promise<void> | undefined;

  constructor(config: SshConfig, { transport, state, log, changed }: NodeOptions) {
    this.#config = config;
    this.#ledger = new Ledger(config.id, state);
    this.#rows = new NodeLog(config.id, transport, log);
    this.#connection = new SshConnection({
      config,
      log,
      changed,
      up: () => this.#commands.connected(),
    });
    this.#commands = new Commands({
      config,
      connection: this.#connection,
      ledger: this.#ledger,
      rows: this.#rows,
      log,
    });
    this.#files = new SshFiles({ config, connection: this.#connection, log });
  }

  get id(): string {
    return this.#config.id;
  }

  announcement(): NodeAnnouncement {
    const { id, name, labels, score, address } = this.#config;
    const { state, why, version, sight } = this.#connection;
    const { hostname: _, ...seen } = sight ?? { hostname: '' };
    return {
      id,
      kind: 'ssh',
      address,
      state,
      actions: ACTIONS,
      ...(state !== 'up' && { reason: `it ${why}`.slice(0, REASON_CHARACTERS) }),
      ...(name !== undefined && { name }),
      ...(labels && { labels }),
      ...(score !== undefined && { score }),
      ...(version !== '' && { version }),
      ...seen,
    };
  }

  async deliver(request: CarriedRequest): Promise<Ack> {
    const { action, token, target, data, envelope } = request;
    switch (action) {
      case 'PING':
        return { token, data: this.#pong(target) };
      case 'CANCEL': {
        const cancelled = await this.#commands.cancel(String(data.token), envelope.from);
        return { token, data: { token: String(data.token), cancelled } };
      }
      case 'COMMAND':
        return this.#commands.take(request);
      case 'FILESOPEN':
      case 'FILESCHUNK':
      case 'FILESCLOSE':
        // As on a daemon they are for plugins alone; no client's identity starts with @.
        if (!envelope.from.startsWith('@')) {
          const remedy = 'Send files by SENDFILES.';
          throw failure('FORBIDDEN', { identity: envelope.from, what: `call ${action}`, remedy });
        }
        return { token, data: await this.#files.answer(action, request) };
      default:
        throw failure('NODE_LACKS_ACTION', { target, action, have: [] });
    }
  }

  #pong(target: string): { id: string; hostname: string; version: string } {
    const { link, why, version, sight } = this.#connection;
    if (!link) throw failure('NODE_UNREACHABLE', { target, why });
    return { id: this.id, hostname: sight?.hostname ?? '', version };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // What is not over by then, the end of the connection ends there, and the next to carry this node ends its token.
  async #close(): Promise<void> {
    const limit = new Promise<void>((resolve) => setTimeout(resolve, STOP_MS));
    await Promise.race([this.#commands.close(), limit]);
    await this.#rows.close(ROWS_MS);
    await this.#connection.close();
    this.#ledger.close();
  }
}
