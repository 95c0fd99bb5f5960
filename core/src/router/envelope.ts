import { type CheckedEnvelope, parseJson, readEnvelope } from '@centreond/protocol';
import type { Peer } from './peer.ts';

export { readEnvelope } from '@centreond/protocol';

/** The envelope of a request, checked. */
export type Envelope = CheckedEnvelope;

const EMPTY: Envelope = { text: '' };

/** Who owns what `peer` asks for: itself, or for a router the one that it forwards for, as ROUTER/FROM. */
export function ownerOf(peer: Peer, { from }: Envelope): string {
  return peer.roles.has('router') && from !== undefined ? `${peer.identity}/${from}` : peer.identity;
}

/** The envelope that goes on from the router `id` with a request for `owner`, which nobody wants any more after `untilMs`. */
export function forwarded(id: string, owner: string, from: Envelope, untilMs: number | undefined): object {
  const { hold, hops = [], traceparent } = from;
  return {
    from: owner,
    hops: [...hops, id],
    ...(hold && { hold }),
    ...(untilMs !== undefined && { deadline: Math.floor(untilMs / 1000) }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** Reads an envelope as it was kept with its request: the `text` of the one that was read then. */
export function keptEnvelope(text: string): Envelope {
  return text === '' ? EMPTY : readEnvelope(parseJson(text), true, 'the request');
}
