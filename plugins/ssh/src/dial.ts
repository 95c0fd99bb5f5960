import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { reasonOf } from '@centreond/plugin-sdk';
import type { AnyAuthMethod, Client, ServerHostKeyAlgorithm } from 'ssh2';
import { credentialsOf } from './credentials.ts';
import { endpointOf, type SshConfig } from './ssh-config.ts';

/** From the first packet to the login. */
const LIMIT_MS = 15_000;

/** The kinds of host keys, each with its signature algorithms: a server shows the first kind that it has of those asked for. */
const HOST_KEYS: Readonly<Record<string, readonly ServerHostKeyAlgorithm[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

/** Why there is no connection: a clause for "the node X …". `lasting`: it takes a person to fix it. */
export class LinkFault extends Error {
  constructor(
    message: string,
    readonly lasting = false,
  ) {
    super(message);
  }
}

/** The server has another host key, of this kind. */
class OtherHostKey extends Error {
  constructor(
    readonly kind: string,
    readonly fingerprint: string,
  ) {
    super();
  }
}

/** The server has no host key of the kinds asked for. */
class NoHostKey extends Error {}

/** A connection that is logged in. */
export interface Dialled {
  readonly client: Client;
  readonly socket: Socket;
  /** What the server calls itself, such as `OpenSSH_9.2p1`. */
  readonly version: string;
}

/**
 * Connects to the node, makes sure that its host key is the pinned one, and logs in. Rejects with a {@link LinkFault}, also
 * when `stop` aborts.
 */
export async function dial(config: SshConfig, stop: AbortSignal): Promise<Dialled> {
  const methods = await credentialsOf(config).catch((error: unknown) => {
    throw new LinkFault(`cannot be logged in to: ${reasonOf(error)}`, true);
  });
  // Loaded where it is needed: most routers have no SSH node.
  const { default: ssh2 } = await import('ssh2');
  // The pinned key may be of a kind that the server shows only where it is asked for no other.
  const kinds = new Set(Object.keys(HOST_KEYS));
  const shown: string[] = [];
  for (;;) {
    try {
      return await dialOnce(new ssh2.Client(), config, methods, [...kinds], stop);
    } catch (error) {
      if (error instanceof OtherHostKey) {
        shown.push(error.fingerprint);
        if (kinds.delete(error.kind) && kinds.size > 0) continue;
      }
      if (!(error instanceof OtherHostKey || error instanceof NoHostKey)) throw error;
      const keys =
        shown.length > 0 ? `shows the host key ${shown.join(' and ')}` : 'has no host key of a kind known here';
      throw new LinkFault(
        `${keys}, and its hostKey is ${config.hostKey} in the config; unless it was set up again, another machine answers in its place`,
        true,
      );
    }
  }
}

function dialOnce(
  client: Client,
  config: SshConfig,
  methods: readonly AnyAuthMethod[],
  kinds: readonly string[],
  stop: AbortSignal,
): Promise<Dialled> {
  const socket = connect({ ...endpointOf(config.address), noDelay: true });
  let other: OtherHostKey | undefined;
  let version = '';
  return new Promise<Dialled>((resolve, reject) => {
    const settle = () => {
      clearTimeout(limit);
      stop.removeEventListener('abort', onStop);
    };
    const fail = (error: Error) => {
      settle();
      reject(other ?? error);
      socket.destroy();
    };
    const onStop = () => fail(new LinkFault('is no longer wanted'));
    const limit = setTimeout(() => fail(new LinkFault(`did not let us in within ${LIMIT_MS / 1000} s`)), LIMIT_MS);
    stop.addEventListener('abort', onStop);
    if (stop.aborted) return onStop();
    // These stay for good: a late error of either is nobody's.
    socket.on('error', (error) => fail(new LinkFault(`is not reached at ${config.address}: ${reasonOf(error)}`)));
    client.on('error', (error) => fail(faultOf(error, config)));
    client.once('close', () => fail(new LinkFault('closed the connection before the login')));
    client.once('ready', () => {
      settle();
      resolve({ client, socket, version });
    });
    // ssh2 keeps to itself what the server says it is.
    socket.once('data', (bytes: Buffer) => {
      version = /^SSH-2\.0-([!-~]{1,64})/m.exec(bytes.toString('latin1'))?.[1] ?? '';
    });
    try {
      client.connect({
        sock: socket,
        username: config.user,
        authHandler: [...methods],
        algorithms: { serverHostKey: kinds.flatMap((kind) => HOST_KEYS[kind] ?? []) },
        hostVerifier: (key: Buffer) => {
          const fingerprint = fingerprintOf(key);
          if (fingerprint === config.hostKey) return true;
          other = new OtherHostKey(kindOf(key), fingerprint);
          return false;
        },
        readyTimeout: 0,
        keepaliveInterval: 0,
      });
    } catch (error) {
      fail(new LinkFault(`cannot be connected to: ${reasonOf(error)}`, true));
    }
  });
}

function faultOf(error: Error & { level?: string }, { user, key, password }: SshConfig): Error {
  const { message, level } = error;
  if (level === 'client-authentication') {
    const what = [key && `the key ${key}`, password && 'the password'].filter(Boolean).join(' and ');
    return new LinkFault(`does not let ${user} in with ${what}: ${message}`, true);
  }
  if (/host key format/i.test(message)) return new NoHostKey(message);
  return new LinkFault(`broke off the SSH handshake: ${message}`);
}

/** As `ssh-keygen -lf` prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The first field of a public key as it goes over the wire. */
function kindOf(key: Buffer): string {
  return key.toString('latin1', 4, 4 + key.readUInt32BE(0));
}
