import type { Config } from './config.ts';

/** What a node's config file says of it and of its router. */
export interface PollerConfig {
  readonly identity: string;
  readonly address: string;
  /** The router's fingerprint. */
  readonly router: string;
}

/** The package that keeps a node's link to its router. */
const PULL_PACKAGE = '@centreond/plugin-pull';

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
