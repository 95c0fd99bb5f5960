import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Answer, type TestedPlugin, testPlugin } from '@centreond/plugin-kit';
import { failure, type JsonObject } from '@centreond/protocol';
import FilesPlugin from '../../plugins/files/src/index.ts';

export const STAGING = '.centreond-staging';

/** Folders of a test's own: one to send from, one to receive in, and one where nothing may ever land. */
export class Stage implements Disposable {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-files-'));
  readonly outbox = this.#make('outbox');
  readonly inbox = this.#make('inbox');
  readonly outside = this.#make('outside');

  #make(name: string): string {
    const made = path.join(this.folder, name);
    mkdirSync(made);
    return made;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The receiving end. */
  receiver(receive: string[] = [this.inbox]): Promise<TestedPlugin<FilesPlugin>> {
    return testPlugin(FilesPlugin, { config: { receive } });
  }

  /** The sending end, whose node is `receiver`; `between` sees each message first, and may throw or answer itself. */
  sender(
    receiver: TestedPlugin<FilesPlugin>,
    between: (action: string, data: JsonObject) => unknown = () => undefined,
    send: string[] = [this.outbox],
  ): Promise<TestedPlugin<FilesPlugin>> {
    const carry: Answer = async (data, { action }) => {
      const answer = (await between(action, data)) as JsonObject | undefined;
      return answer ?? (await ask(receiver, action, data));
    };
    const transport = { FILESOPEN: carry, FILESCHUNK: carry, FILESCLOSE: carry };
    return testPlugin(FilesPlugin, { config: { send }, transport });
  }
}

/** Asks the receiving end, as a router does. */
export function ask(receiver: TestedPlugin<FilesPlugin>, action: string, data: object): Promise<JsonObject> {
  return receiver.ask(action, data, { identity: 'central', roles: ['router'] });
}

export const unreachable = () => failure('NODE_UNREACHABLE', { target: 'lyon' });

export function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export interface FileAnswer {
  offset?: number;
  done?: boolean;
  error?: string;
  message?: string;
}

/** One file that is handed in message by message. */
export class Handing {
  readonly transfer = randomUUID();
  constructor(
    private readonly receiver: TestedPlugin<FilesPlugin>,
    readonly path: string,
    readonly bytes: Buffer = Buffer.from('some bytes'),
    readonly mode = 0o644,
    readonly version = '1',
  ) {}

  async #one(action: string, data: object): Promise<FileAnswer> {
    const { files } = await ask(this.receiver, action, { transfer: this.transfer, ...data });
    return (files as FileAnswer[])[0] as FileAnswer;
  }

  open(more: object = {}): Promise<FileAnswer> {
    const { path, bytes, mode, version } = this;
    return this.#one('FILESOPEN', { files: [{ path, kind: 'file', size: bytes.length, mode, version, ...more }] });
  }

  chunk(from = 0, to = this.bytes.length, more: object = {}): Promise<FileAnswer> {
    const piece = this.bytes.subarray(from, to);
    const chunk = { path: this.path, offset: from, sha256: sha256(piece), data: piece.toString('base64'), ...more };
    return this.#one('FILESCHUNK', { chunks: [chunk] });
  }

  close(hash = sha256(this.bytes)): Promise<FileAnswer> {
    return this.#one('FILESCLOSE', { files: [{ path: this.path, sha256: hash }] });
  }

  async last(): Promise<void> {
    await ask(this.receiver, 'FILESCLOSE', { transfer: this.transfer, files: [], last: true });
  }

  /** All of it; the first refusal, or the answer to closing it. */
  async all(): Promise<FileAnswer> {
    for (const step of [() => this.open(), () => this.chunk()]) {
      const answer = await step();
      if (answer.error !== undefined) return answer;
    }
    return this.close();
  }
}
