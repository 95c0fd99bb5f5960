import type { Grant } from '../doors/trust.ts';

/** What a peer may be; the first letter is the one that PROTOCOL.md section 4 uses. */
export const ROLES = ['client', 'node', 'router', 'admin'] as const;
export type Role = (typeof ROLES)[number];
/** `plugin` is what the host's instances are; no configuration grants it. */
export type PeerRole = Role | 'plugin';

/** A session as the router sees it. */
export interface Peer {
  readonly identity: string;
  readonly roles: ReadonlySet<PeerRole>;
  readonly grant: Grant;
  /** False once the session ended, before `left` is called; it never opens again. */
  readonly open: boolean;
  /** Bytes, or characters, that are queued and not yet handed to the socket. */
  readonly backlog: number;
  /** Queues `message` for the next flush. Where the peer's bound in bytes is passed the session ends. Afterwards a no-op. */
  send(message: string): void;
}
