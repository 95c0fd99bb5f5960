import { isIP } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

/** What a listener binds to. `hosts` are tried in order, the next one only if the machine does not have the family. */
export type Binding = { readonly path: string } | { readonly hosts: readonly string[]; readonly port: number };

/**
 * Reads `ipc://PATH` or `tcp://HOST:PORT`: HOST an address (IPv6 in brackets), a network interface, or `*` for every address
 * of both families; PORT may be `*` for any free one. Names are not resolved. Throws an Error with the code EINVAL or ENODEV.
 */
export function parseEndpoint(endpoint: string, interfaces = networkInterfaces): Binding {
  if (endpoint.startsWith('ipc://') && endpoint.length > 6) return { path: endpoint.slice(6) };
  const { host = '', port = '' } = /^tcp:\/\/(?<host>.+):(?<port>\d{1,5}|\*)$/.exec(endpoint)?.groups ?? {};
  const number = port === '*' ? 0 : Number(port);
  if (host === '' || number > 65_535) throw coded('EINVAL', `${endpoint} is not an endpoint`);
  return { hosts: hostsOf(host, interfaces), port: number };
}

function hostsOf(host: string, interfaces: typeof networkInterfaces): string[] {
  if (host === '*') return ['::', '0.0.0.0'];
  const address = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  if (isIP(address) !== 0) return [address];
  const own: NetworkInterfaceInfo[] = interfaces()[host] ?? [];
  const [first] = own.toSorted((a, b) => a.family.localeCompare(b.family));
  if (first === undefined) throw coded('ENODEV', `${host} is neither an address nor a network interface here`);
  return [first.address];
}

/** Whether binding failed since the machine does not have the family of the address. */
export function lacksFamily(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL' || code === 'EINVAL';
}

/** `host:port` as it stands in endpoints and logs. An IPv4 address that came over an IPv6 socket is shown as IPv4. */
export function formatAddress(host: string, port: number): string {
  const plain = withoutMapping(host);
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`;
}

/** What connections of one machine have in common: its IPv4 address, or the /64 network of its IPv6 address. */
export function originOf(host: string): string {
  const plain = withoutMapping(host);
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = (plain.split('%')[0] as string).split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  return [...groups, ...Array<string>(missing).fill('0'), ...(tail ? tail.split(':') : [])].slice(0, 4).join(':');
}

function withoutMapping(host: string): string {
  return host.startsWith('::ffff:') && host.includes('.') ? host.slice(7) : host;
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
