import { CentreondError, failure, formatMessage, parseJson, parseReply } from '@centreond/protocol';
import { z } from 'zod';
import type { Carried } from '../fleet/routes.ts';
import type { Grant, Peer, PeerRole } from '../router/peer.ts';

const Reply = z.object({ code: z.number(), data: z.record(z.string(), z.json()).default({}) });
const ROLES: ReadonlySet<PeerRole> = new Set<PeerRole>(['router', 'admin']);

/** One question of another router of the cluster, which has authorised who asks. Its answer is the ACK that it is sent. */
export class RouterPeer implements Peer {
  readonly roles = ROLES;
  readonly grant: Grant;
  readonly open = true;
  readonly backlog = 0;
  readonly #answer = Promise.withResolvers<string>();

  constructor(readonly identity: string) {
    this.grant = { identity, fingerprint: '', roles: ['router', 'admin'], source: 'The cluster' };
  }

  /** Asks by `receive`, which takes the messages of peers. Resolves with the data of the answer; rejects with the refusal. */
  ask({ action, token, data, envelope }: Carried, receive: (peer: Peer, message: Buffer) => void): Promise<string> {
    const text =
      data === '{}' ? `{"$":${JSON.stringify(envelope)}}` : `${data.slice(0, -1)},"$":${JSON.stringify(envelope)}}`;
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
