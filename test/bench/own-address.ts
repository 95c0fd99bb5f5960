import { AsyncLocalStorage } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

/** The address of a node, for every connection that it makes. */
const own = new AsyncLocalStorage<string>();
const { connect } = net;

/**
 * Has connections of this process come from the address of who makes them, as those of machines do: what a router bounds for each
 * address would else be that of one machine. Call once, before anything connects.
 */
export function useOwnAddresses(): void {
  const fromOwn = (options: net.TcpNetConnectOpts) => {
    const localAddress = own.getStore();
    return connect(localAddress === undefined ? options : { ...options, localAddress });
  };
  Object.assign(net, { connect: fromOwn });
  syncBuiltinESMExports();
}

/** Does `work` as the machine number `index`, which has an address of its own in 127.0.0.0/8. So has what `work` begins. */
export function asMachine<T>(index: number, work: () => T): T {
  return own.run(`127.1.${Math.floor(index / 250)}.${(index % 250) + 1}`, work);
}
