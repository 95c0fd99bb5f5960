import { CentreondError, failure, formatMessage, type JsonObject, parseJson, parseReply } from '@centreond/protocol';
import { z } from 'zod';
import type { Grant, Peer, PeerRole } from '../router/peer.ts';

const Reply = z.object({ code: z.number(), data: z.record(z.string(), z.json()).default({}) });

/** Somebody who asks by way of another router of the cluster, with the rights that they have. Its answer is the ACK that it is sent. */
export class RouterPeer implements Peer {
  readonly identity: string;
  readonly roles: ReadonlySet<PeerRole>;
  readonly open = true;
  readonly backlog = 0;
  readonly #answer = Promise.withResolvers<string>();

  constructor(
    readonly grant: Grant,
    roles: readonly PeerRole[],
  ) {
    this.identity = grant.identity;
    this.roles = new Set(roles);
  }

  /** Asks by `receive`, which takes the messages of peers. Resolves with the data of the answer; rejects with the refusal. */
  ask(
    { action, token, data, $ }: { action: string; token: string; data: string; $: JsonObject },
    receive: (peer: Peer, message: Buffer) => void,
  ): Promise<string> {
    const envelope = Object.keys($).length === 0 ? '' : `"$":${JSON.stringify($)}`;
    const text = data === '{}' ? `{${envelope}}` : `${data.slice(0, -1)}${envelope && `,${envelope}`}}`;
    receive(this, Buffer.from(formatMessage(action, token, '', text)));
    return this.#answer.promise;
  }

  send(message: string): void {
    const { code, data } = Reply.parse(parseJson(parseReply(message).data));
    if (code === 0) this.#answer.resolve(JSON.stringify(data));
    else if (typeof data.error === 'string') this.#answer.reject(new CentreondError(data.error, String(data.message)));
    else this.#answer.reject(failure('NODE_UNREACHABLE', { target: this.identity, why: 'answered without a reason' }));
  }

  /** It is over with its answer, and follows nothing. */
  onLeft(): void {}
}
