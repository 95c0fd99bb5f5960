import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { type CentreondError, reasonOf } from '@centreond/protocol';
import { fault } from '../errors.ts';
import { lacksFamily, parseEndpoint } from './zmtp/endpoint.ts';

/** Why the external door cannot listen on `listen`, as one sentence: what `error` says, which binding failed with. */
export function bindFault(listen: string, error: unknown): CentreondError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') return fault('DOOR_IN_USE', { listen });
  if (code === 'EADDRNOTAVAIL' || code === 'ENODEV') return fault('DOOR_NOT_THIS_MACHINE', { listen });
  if (code === 'EACCES') return fault('DOOR_FORBIDDEN', { listen });
  return fault('DOOR_CLOSED', { listen, reason: reasonOf(error) });
}

/**
 * Why a daemon of this machine could not listen on `listen` now, or undefined. That the process `daemon` listens on its port already is
 * no reason: it is the one that would. Listens for a moment, where it can.
 */
export async function unbindable(listen: string, daemon: number | undefined): Promise<CentreondError | undefined> {
  try {
    const binding = parseEndpoint(listen);
    if ('path' in binding) return undefined;
    const { hosts, port } = binding;
    for (const [i, host] of hosts.entries()) {
      try {
        await tryListening(host, port);
        return undefined;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EADDRINUSE' && daemon !== undefined && listensOn(daemon, port)) return undefined;
        if (i === hosts.length - 1 || !lacksFamily(error)) throw error;
      }
    }
    return undefined;
  } catch (error) {
    return bindFault(listen, error);
  }
}

async function tryListening(host: string, port: number): Promise<void> {
  const server = createServer((socket) => socket.destroy());
  server.listen({ host, port });
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

const LISTENS = '0A';

/** Whether the process `pid` has a socket that listens on `port`, by /proc; false where that cannot be read. */
function listensOn(pid: number, port: number): boolean {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  try {
    const inodes = ['tcp', 'tcp6'].flatMap((table) => {
      const [, ...lines] = readFileSync(`/proc/${pid}/net/${table}`, 'utf8').trim().split('\n');
      return lines
        .map((line) => line.trim().split(/\s+/))
        .filter(([, local = '', , state]) => local.endsWith(end) && state === LISTENS)
        .map((fields) => `socket:[${fields[9]}]`);
    });
    return readdirSync(`/proc/${pid}/fd`).some((file) => inodes.includes(linkOf(`/proc/${pid}/fd/${file}`)));
  } catch {
    return false;
  }
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    // It was closed meanwhile.
    return '';
  }
}
