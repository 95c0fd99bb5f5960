import { faultsText } from '@centreond/carrying';
import { failure, isCentreondError, type Json, type JsonObject, type Logger, reasonOf } from '@centreond/plugin-sdk';
import type { CarriedRequest } from '@centreond/plugin-sdk/nodes';
import { Chunks, Close, Open, Receiver, Roots, type SftpFile, SftpStore } from '@centreond/receiving';
import type { z } from 'zod';
import { type HashRun, sha256Of } from './remote-hash.ts';
import type { SshConfig } from './ssh-config.ts';
import type { SshConnection } from './ssh-connection.ts';

/** The actions by which a transfer of files comes. */
export const FILES_ACTIONS = ['FILESOPEN', 'FILESCHUNK', 'FILESCLOSE'] as const;
export type FilesAction = (typeof FILES_ACTIONS)[number];

const PURGE_MS = 6 * 3600_000;

export interface SshFilesOptions {
  readonly config: Pick<SshConfig, 'id' | 'roots'>;
  readonly connection: Pick<SshConnection, 'link' | 'why'>;
  readonly log: Logger;
}

/** The receiving end of SENDFILES on an SSH node: over SFTP, below the node's roots alone, verified there. */
export class SshFiles {
  readonly #options: SshFilesOptions;
  readonly #receiver: Receiver<SftpFile>;
  readonly #hashes: HashRun = { busy: Promise.resolve() };
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor(options: SshFilesOptions) {
    this.#options = options;
    const { id, roots } = options.config;
    this.#receiver = new Receiver({
      roots: rootsOf(id, roots),
      log: options.log,
      node: id,
      store: () => this.#store(),
    });
  }

  async #store(): Promise<SftpStore> {
    const { config, connection } = this.#options;
    const { link, why } = connection;
    if (!link) throw failure('NODE_UNREACHABLE', { target: config.id, why });
    const sftp = await link.sftp();
    return new SftpStore(sftp, (files) => sha256Of(this.#hashes, link, sftp, files));
  }

  /** Answers one of {@link FILES_ACTIONS}; rejects with what refuses the whole message. */
  async answer(action: FilesAction, { data, envelope }: CarriedRequest): Promise<JsonObject> {
    try {
      this.#tidy();
      const { files } = await this.#answer(action, data, envelope.from);
      return { files: files as Json };
    } catch (error) {
      if (isCentreondError(error)) throw error;
      // The session broke off: the sender opens its files again and goes on.
      const why = `broke off the transfer: ${reasonOf(error)}`;
      throw failure('NODE_UNREACHABLE', { target: this.#options.config.id, why });
    }
  }

  #answer(action: FilesAction, data: JsonObject, identity: string): Promise<{ files: readonly object[] }> {
    switch (action) {
      case 'FILESOPEN':
        return this.#receiver.open(read(action, Open, data), identity);
      case 'FILESCHUNK':
        return this.#receiver.take(read(action, Chunks, data));
      case 'FILESCLOSE':
        return this.#receiver.close(read(action, Close, data));
    }
  }

  /** Removes what transfers left that never came back, now and then, while the node is there. */
  #tidy(): void {
    const { config, connection, log } = this.#options;
    if (!connection.link || performance.now() - this.#purgedAt < PURGE_MS) return;
    this.#purgedAt = performance.now();
    this.#receiver.tidy().catch((error: unknown) => {
      log.warn({ node: config.id }, `what was staged on ${config.id} is not tidied: ${reasonOf(error)}`);
    });
  }
}

function read<S extends z.ZodType>(action: string, schema: S, data: JsonObject): z.output<S> {
  const { data: asked, error } = schema.safeParse(data);
  if (!error) return asked;
  throw failure('INVALID_DATA', { action, reason: faultsText(error) });
}

/** Where files may arrive on the node `id`. */
export function rootsOf(id: string, folders: readonly string[]): Roots {
  return new Roots(folders, {
    what: (path) => `write ${path} on ${id}`,
    none: `The node ${id} has no roots in the config: list a folder to allow it.`,
    outside: (named) => `It is below none of the roots of the node: ${named}.`,
  });
}
