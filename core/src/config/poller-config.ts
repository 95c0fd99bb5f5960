import type { Config } from './config.ts';

/** What a node's config file says of it and of its router. */
export interface PollerConfig {
  readonly identity: string;
  readonly address: string;
  /** The router's fingerprint. */
  readonly router: string;
  /** More routers of its cluster. */
  readonly others: readonly OtherRouter[];
}

/** A router of a cluster beside the one that is named first. */
export interface OtherRouter {
  /** `tcp://host:port` by which nodes reach it. */
  readonly address: string;
  readonly fingerprint: string;
}

/** The package that keeps a node's link to its router. */
const PULL_PACKAGE = '@centreond/plugin-pull';

/** The routers in a node's config, as far as they are there, the first one first. */
export function linksIn({ plugins }: Pick<Config, 'plugins'>): { address?: unknown; fingerprint?: unknown }[] {
  const { router, others } = plugins.find((entry) => entry.package === PULL_PACKAGE)?.config ?? {};
  const named = [router, ...(Array.isArray(others) ? others : [])];
  return named.filter((one) => typeof one === 'object' && one !== null);
}

/**
 * What makes `config` another one than that of this node and router, as the predicate of a sentence; undefined for none. A cluster is
 * known by any of its routers.
 */
export function differenceFrom(
  config: Pick<Config, 'core' | 'plugins'>,
  { identity, router, others }: PollerConfig,
): string | undefined {
  const { id } = config.core;
  if (id !== identity) return `is the config of ${id}, not of ${identity}`;
  const keys = linksIn(config).flatMap(({ fingerprint }) => (fingerprint === undefined ? [] : [String(fingerprint)]));
  if (keys.length === 0) return `is the config of ${identity}, but links it to no router by ${PULL_PACKAGE}`;
  const known = [router, ...others.map(({ fingerprint }) => fingerprint)];
  return keys.some((key) => known.includes(key))
    ? undefined
    : `links ${identity} to the router with the key ${keys.join(' or ')}, not to ${known.join(' or ')}`;
}
