import { networkInterfaces } from 'node:os';

/** From where an external door is reached: one address, this machine only, or every address that the machine has. */
export interface Reach {
  readonly kind: 'address' | 'loopback' | 'any';
  /** `tcp://host:port`, best first; of `any`, those of the machine's networks. */
  readonly addresses: readonly string[];
}

/** From where `endpoint` is reached, which is what a door listens on, numeric and with its port. */
export function reachOf(endpoint: string, interfaces: () => Iface[] = allInterfaces): Reach {
  const at = endpoint.lastIndexOf(':');
  const host = endpoint.slice('tcp://'.length, at);
  const port = endpoint.slice(at + 1);
  if (/^(127\.|\[::1\]$|\[::ffff:127\.)/i.test(host)) return { kind: 'loopback', addresses: [endpoint] };
  if (host !== '0.0.0.0' && host !== '[::]') return { kind: 'address', addresses: [endpoint] };
  const addresses = interfaces()
    // Addresses of a link alone mean nothing to who is told them.
    .filter(({ internal, address }) => !internal && !/^(fe[89ab]|169\.254\.)/i.test(address))
    .filter(({ family }) => family === 'IPv4' || host === '[::]')
    .sort((a, b) => a.family.localeCompare(b.family))
    .map(({ family, address }) => `tcp://${family === 'IPv6' ? `[${address}]` : address}:${port}`);
  return { kind: 'any', addresses };
}

interface Iface {
  readonly address: string;
  readonly family: 'IPv4' | 'IPv6';
  readonly internal: boolean;
}

function allInterfaces(): Iface[] {
  return Object.values(networkInterfaces()).flatMap((list) => list ?? []);
}
