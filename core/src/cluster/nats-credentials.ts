import { reasonOf } from '@centreond/protocol';
import type { ConnectionOptions } from '@nats-io/transport-node';

/** Where NATS is, and what it is to be told. */
export interface NatsPlace {
  /** `nats://HOST:PORT`, several with commas between them. */
  readonly servers: string;
  /** A .creds file, USER:PASSWORD, or a token; undefined for none. It is never logged. */
  readonly credentials: string | undefined;
}

/** What NATS is told, by what the credentials look like. */
export async function authentication(credentials: string | undefined): Promise<Partial<ConnectionOptions>> {
  if (credentials === undefined) return {};
  if (credentials.includes('-----BEGIN NATS')) {
    const { credsAuthenticator } = await import('@nats-io/transport-node');
    return { authenticator: credsAuthenticator(new TextEncoder().encode(credentials)) };
  }
  const at = credentials.indexOf(':');
  if (at < 0) return { token: credentials };
  return { user: credentials.slice(0, at), pass: credentials.slice(at + 1) };
}

/** Whether NATS is there and does not let this router in, or not on its subjects. */
export function isRefusal(error: unknown): boolean {
  const names = ['AuthorizationError', 'UserAuthenticationExpiredError'];
  const all = [error, error instanceof Error ? error.cause : undefined];
  return deniedBy(error) !== undefined || all.some((one) => one instanceof Error && names.includes(one.name));
}

/** The subject that NATS denies to this router, and what for; undefined where that is not the error. */
export function deniedBy(error: unknown): { readonly operation: string; readonly subject: string } | undefined {
  if (!(error instanceof Error) || error.name !== 'PermissionViolationError') return undefined;
  const { operation, subject } = error as { operation?: unknown; subject?: unknown };
  return { operation: String(operation), subject: String(subject) };
}

/** What is to be changed where it does not; `all` is a pattern for all subjects of the cluster. */
export function refusalOf(error: unknown, { servers, credentials }: NatsPlace, all: string): string {
  if (deniedBy(error)) {
    return `the NATS at ${servers} lets this router in, but not on the subjects of its cluster (${reasonOf(error)}); let its user publish and subscribe on ${all}`;
  }
  const remedy =
    credentials === undefined
      ? 'set core.cluster.credentials to what it is to be told'
      : 'correct what core.cluster.credentials names, or let that user in on the server';
  return `the NATS at ${servers} does not let this router in (${reasonOf(error)}); ${remedy}`;
}

/** What to warn of at the start: NATS is reached over a network and lets anybody in. Undefined where that is not so. */
export function exposureOf({ servers, credentials }: NatsPlace): string | undefined {
  const open = servers.split(',').filter((server) => !isLoopback(server));
  if (credentials !== undefined || open.length === 0) return undefined;
  return `the NATS at ${open.join(',')} is not on this machine, and core.cluster.credentials is not set: anybody who reaches it can read what the routers send each other (the requests that they hand over and their data, and which nodes they carry), for messages there are authenticated, not encrypted; set core.cluster.credentials, and tls:// in core.cluster.nats`;
}

function isLoopback(server: string): boolean {
  return /^[a-z]+:\/\/(localhost|127\.[\d.]+|\[::1\])(:\d+)?$/i.test(server.trim());
}
