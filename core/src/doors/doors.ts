import { reasonOf } from '@centreond/protocol';
import type { KeyPair, PublicJwk } from '@centreond/protocol/channel';
import type { Clock } from '../clock.ts';
import type { Closing } from '../closing.ts';
import type { Config } from '../config/config.ts';
import type { Chronicle } from '../log/chronicle.ts';
import type { Log } from '../log.ts';
import { VERSION } from '../own-package.ts';
import type { Tickets } from '../router/instance-link.ts';
import type { Peer } from '../router/peer.ts';
import { ExternalDoor } from './external.ts';
import { InternalDoor } from './internal.ts';
import type { Trust } from './trust.ts';

const CLOSE_MS = 1500;

export interface DoorsOptions {
  readonly config: Config['core'];
  readonly keys: KeyPair;
  readonly trust: Trust;
  readonly tickets: Tickets;
  /** Takes each message of a session. Never throws. */
  receive(peer: Peer, message: Buffer): void;
  /** A handshake with the key of `identity` was refused for `cause`, a clause. */
  refused(identity: string, cause: string): void;
  /** Keeps the key of each identity that was let in. */
  readonly store: { pin(identity: string, key: string): Promise<void> };
  readonly chronicle: Pick<Chronicle, 'tell'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly closing: Closing;
}

/** The listeners of this router. */
export interface Doors {
  readonly internal: InternalDoor;
  /** Undefined if the config names no address. */
  readonly external: ExternalDoor | undefined;
  /** What clients connect to, with its port; undefined if there is no external door. */
  readonly endpoint: string | undefined;
  /** The address by which other machines reach that door, where the config names it. */
  readonly advertise: string | undefined;
}

/**
 * Binds both doors. The internal one serves from here on; the external one once its `serve` is called. Rejects with DOOR_IN_USE,
 * DOOR_NOT_THIS_MACHINE, DOOR_FORBIDDEN or DOOR_CLOSED if one cannot bind.
 */
export async function openDoors(options: DoorsOptions): Promise<Doors> {
  const { config, keys, trust, tickets, receive, refused, store, chronicle, clock, log, closing } = options;
  const { id, maxMessage, socket, session, limits } = config;
  const internal = new InternalDoor({ file: socket, maxMessage, clock, log, receive, tickets });
  await internal.start();
  closing.push('the internal door', CLOSE_MS, () => internal.stop());
  if (!config.external) return { internal, external: undefined, endpoint: undefined, advertise: undefined };
  const pinned = (identity: string, jwk: PublicJwk) => {
    store
      .pin(identity, JSON.stringify(jwk))
      .catch((error: unknown) => log.error({ err: error }, `the key of ${identity} is not pinned: ${reasonOf(error)}`));
  };
  const external = new ExternalDoor({
    listen: config.external.listen,
    routerKeys: keys,
    trust,
    id,
    version: VERSION,
    maxMessage,
    connections: limits.connections,
    strangers: limits.strangers,
    idleMs: session.idle,
    chronicle,
    clock,
    log,
    receive,
    pinned,
    refused,
  });
  closing.push('the external door', CLOSE_MS, (withinMs) => external.stop(withinMs));
  return { internal, external, endpoint: await external.listen(), advertise: config.external.advertise };
}
