import { readFile } from 'node:fs/promises';

const ESTABLISHED = '01';
const SHOWN = 4;

/**
 * From where the connections to a TCP port of this machine come, as text: an address, or `one of …` where there are
 * several, since zeromq.js does not tell which connection a frame came by. `unknown` where the system does not say.
 */
export async function callersOf(port: number): Promise<string> {
  const found = new Set<string>();
  for (const table of ['/proc/self/net/tcp', '/proc/self/net/tcp6']) {
    // Only Linux has these tables, and IPv6 may be off: what cannot be read tells nothing.
    const text = await readFile(table, 'latin1').catch(() => '');
    for (const line of text.split('\n')) {
      const [, local = '', remote = '', state] = line.trim().split(/ +/);
      if (state !== ESTABLISHED || Number.parseInt(local.split(':')[1] ?? '', 16) !== port) continue;
      found.add(addressOf(remote.split(':')[0] ?? ''));
    }
  }
  const addresses = [...found].sort();
  if (addresses.length <= 1) return addresses[0] ?? 'unknown';
  const more = addresses.length - SHOWN;
  return `one of ${addresses.slice(0, SHOWN).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** An address as the kernel's tables write it (32-bit words, each in the machine's order) as people do. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length === 4) return [...bytes.reverse()].join('.');
  bytes.swap32();
  const mapped = bytes.toString('hex', 0, 12) === '00000000000000000000ffff';
  if (mapped) return [...bytes.subarray(12)].join('.');
  return (bytes.toString('hex').match(/.{4}/g) ?? []).map((group) => group.replace(/^0{1,3}/, '')).join(':');
}
