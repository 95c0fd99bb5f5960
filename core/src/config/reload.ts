import { placeOf } from '../errors.ts';
import type { Chronicle } from '../log/chronicle.ts';
import type { Log } from '../log.ts';
import { type Config, loadConfig, restartRemarks } from './config.ts';

/** Who takes a config while the daemon serves. */
export interface ReloadOptions {
  /** The config that the daemon was started with. */
  readonly config: Config;
  readonly trust: { configure(clients: Config['clients']): void; readonly warnings: readonly string[] };
  /** Resolves with what of the plugins only a restart can change. */
  readonly loader: { apply(config: Config): Promise<readonly string[]> };
  readonly cluster: { rereadTrust(): void };
  readonly chronicle: Pick<Chronicle, 'tell'>;
  readonly log: Log;
}

/**
 * Reads the config file again, and has `clients`, `plugins` and the log level count. Resolves with what only a restart can change; with
 * what is wrong in a config that cannot be used, of which nothing counts then. What is kept of trust beside it is read in any case.
 */
export async function reload({ config, trust, loader, cluster, chronicle, log }: ReloadOptions): Promise<string[]> {
  cluster.rereadTrust();
  const { config: fresh, problems } = await loadConfig({ file: config.file, cwd: process.cwd() });
  if (!fresh) return problems.map((problem) => `${placeOf(problem)} ${problem.code} ${problem.message}`);
  trust.configure(fresh.clients);
  for (const warning of trust.warnings) log.warn(warning);
  log.level = fresh.core.log.level;
  const remarks = [...(await loader.apply(fresh)), ...restartRemarks(config, fresh)];
  chronicle.tell('CONFIG_READ', { remarks });
  return remarks;
}
