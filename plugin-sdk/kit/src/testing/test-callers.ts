import { failure, formatMessage, isIdentity, parseJson, parseReply } from '@centreond/protocol';
import type { Role, TestPeer } from './peer.ts';

export interface TestCallersOptions {
  /** The plugin's type. */
  readonly type: string;
  readonly toInstance: (id: string, message: string) => void;
  /** Takes a message of a caller. */
  readonly take: (peer: TestPeer, message: string) => void;
}

/** Those for whom the plugin under test calls: each a peer TYPE/NAME with the roles that the plugin gave it. */
export class TestCallers {
  readonly #peers = new Map<string, TestPeer>();

  constructor(private readonly options: TestCallersOptions) {}

  /** The identities of the callers that are in. */
  get identities(): readonly string[] {
    return [...this.#peers.values()].map(({ identity }) => identity);
  }

  /** Takes what the instance `id` says of its callers, or for them; false for any other message. */
  receive(id: string, text: string): boolean {
    if (!text.startsWith('[CALLE')) return false;
    const { action, token: number, target: name, data } = parseReply(text);
    const key = `${id} ${number}`;
    if (action === 'CALLERUP') this.#up(id, number, name, data);
    else if (action === 'CALLERDOWN') this.#peers.delete(key);
    else {
      const peer = this.#peers.get(key);
      if (peer) this.options.take(peer, data);
    }
    return true;
  }

  #up(id: string, number: string, name: string, data: string): void {
    const { type, toInstance } = this.options;
    if (!isIdentity(name)) {
      const remedy = 'The name of a caller has 1 to 64 of A-Z a-z 0-9 . _ -.';
      const error = failure('FORBIDDEN', { identity: `@${type}`, what: `call for ${name}`, remedy });
      toInstance(id, formatMessage('CALLERDOWN', number, '', error.toData()));
      return;
    }
    const { roles } = parseJson(data) as unknown as { roles: Role[] };
    this.#peers.set(`${id} ${number}`, {
      identity: `${type}/${name}`,
      roles,
      send: (message) => toInstance(id, formatMessage('CALLED', number, '', message)),
    });
  }

  /** The instance `id` is gone, and its callers with it. */
  gone(id: string): void {
    for (const key of this.#peers.keys()) if (key.startsWith(`${id} `)) this.#peers.delete(key);
  }
}
