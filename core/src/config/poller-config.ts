import type { Config } from './config.ts';

/** What a node's config file says of it and of its router. */
export interface PollerConfig {
  readonly identity: string;
  readonly address: string;
  /** The router's fingerprint. */
  readonly router: string;
}

/** The package that keeps a node's link to its router. */
export const PULL_PACKAGE = '@centreond/plugin-pull';

/** The config file of a node that connects to its router by itself: what it runs, and that link. */
export function pollerConfig({ identity, address, router }: PollerConfig): string {
  return `# A node that connects to its router by itself and opens no port of its own. What it is sent runs here.
# \`centreond check\` names every mistake in here before a restart meets it.

core:
  id: ${JSON.stringify(identity)}  # this node's id: the identity that its key has at the router
  dataDir: ./var  # its key, history, sockets; relative to this file
  # store: { retention: 7d, maxSize: 4GiB }
  # log: { level: info }

plugins:  # more of them in conf.d/*.yaml beside this file
  - package: "@centreond/plugin-action"  # runs commands: the action COMMAND
    # config: { timeoutSeconds: 60 }

  - package: "${PULL_PACKAGE}"  # keeps the link to the router
    allowCore: true  # it runs in the daemon's own process
    config:
      router:
        address: ${JSON.stringify(address)}  # the router's external door
        fingerprint: ${JSON.stringify(router)}  # its key, as \`centreond keys show\` prints it there
      # name: "Paris"  # a label for this node
`;
}

/** The router's address and fingerprint in a node's config, as far as they are there. */
export function linkIn({ plugins }: Pick<Config, 'plugins'>): { address?: unknown; fingerprint?: unknown } {
  const router = plugins.find((entry) => entry.package === PULL_PACKAGE)?.config.router;
  return typeof router === 'object' && router !== null ? router : {};
}

/** What makes `config` another one than that of this node and router, as the predicate of a sentence; undefined for none. */
export function differenceFrom(
  config: Pick<Config, 'core' | 'plugins'>,
  { identity, router }: PollerConfig,
): string | undefined {
  const { id } = config.core;
  if (id !== identity) return `is the config of ${id}, not of ${identity}`;
  const { fingerprint } = linkIn(config);
  if (fingerprint === undefined) return `is the config of ${identity}, but links it to no router by ${PULL_PACKAGE}`;
  return fingerprint === router
    ? undefined
    : `links ${identity} to the router with the key ${String(fingerprint)}, not to ${router}`;
}
