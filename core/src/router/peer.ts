/** What a peer may be; the first letter is the one that PROTOCOL.md section 4 uses. */
export const ROLES = ['client', 'node', 'router', 'admin'] as const;
export type Role = (typeof ROLES)[number];
/** `plugin` is the role of the host's instances; no configuration grants it. */
export type PeerRole = Role | 'plugin';

/** Who a key is, and what it may do. If `actions` or `targets` is omitted, the roles alone decide. */
export interface Grant {
  readonly identity: string;
  /** RFC 7638 thumbprint of the key: the `cid` of a handshake. */
  readonly fingerprint: string;
  readonly roles: readonly Role[];
  readonly actions?: readonly string[] | undefined;
  readonly targets?: readonly string[] | undefined;
  readonly subnodes?: readonly string[] | undefined;
  /** What grants it, at the beginning of a sentence; the configuration if omitted. */
  readonly source?: string | undefined;
}

/** A session as the router sees it. Implemented by the doors, by served links and by plugins in the core's process. */
export interface Peer {
  readonly identity: string;
  readonly roles: ReadonlySet<PeerRole>;
  readonly grant: Grant;
  /** False once the session has ended, before the listeners of `onLeft` are called; it never opens again. */
  readonly open: boolean;
  /** Bytes, or characters, that are queued and not yet handed to the socket. */
  readonly backlog: number;
  /** `host:port` that it came from. Omitted by peers that did not come by the network. */
  readonly address?: string;
  /** True once a newer session of its identity, or of its connection, took its place. Omitted by peers that are never replaced. */
  readonly replaced?: boolean;
  /** True for an instance of a plugin that may make requests as users of its own. */
  readonly allowsCallers?: boolean;
  /** When its last message came, in monotonic milliseconds. Omitted by peers that are not held to answering. */
  readonly heardAt?: number;
  /** Queues `message` for the next flush. If the peer's bound in bytes is passed, the session ends. A no-op once closed. */
  send(message: string): void;
  /** Calls `listener` once when the session ends; at once if it has ended. Whatever is kept of a peer is released here. */
  onLeft(listener: () => void): void;
}

/** The host of `host:port`, without the brackets of an IPv6 address. */
export function hostOf(address: string): string {
  return address.replace(/^\[|\]?:\d+$/g, '');
}

/** The listeners of a peer's end: each is called once, in the order in which they were added. */
export class Leaving {
  #listeners: (() => void)[] | undefined = [];

  add(listener: () => void): void {
    if (this.#listeners) this.#listeners.push(listener);
    else listener();
  }

  /** The peer has left. Calling it again does nothing. */
  over(): void {
    const listeners = this.#listeners ?? [];
    this.#listeners = undefined;
    for (const listener of listeners) listener();
  }
}
