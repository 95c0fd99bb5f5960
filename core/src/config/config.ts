import { accessSync, constants, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import { inOrder, type Position, type Problem, placeOf, problem } from '../errors.ts';
import type { Config, PluginEntry, Scope } from './entry.ts';
import { valueAt, zodProblems } from './issues.ts';
import { ConfigFile, defaultId, Fragment, isPackagePath, jsonSchemaOf, PluginPart } from './schema.ts';
import { findSource, listFragments, openSource } from './search.ts';
import { formatPath, type Path, plainSource, type Source } from './source.ts';

export type { AuthorizedClient, Config, PluginEntry, Scope } from './entry.ts';
export { placedConfig, secretVariables } from './placed.ts';
export { type Settings, settingsOf } from './plugin-config.ts';

/** What {@link loadConfig} found. */
export interface Loaded {
  /** There unless a problem is an error. */
  config: Config | undefined;
  /** What is sound of the folder and the entries, whatever else is not; undefined where no file was found. */
  scope: Scope | undefined;
  problems: Problem[];
  /** The config file, absolute; '' where none was found. */
  file: string;
  /** What that file holds, with its places; undefined where none was found. */
  source: Source | undefined;
  /** All files read, the config file first. */
  files: string[];
}

/** Where a package of the system has the config and the data of its daemon. */
export const SYSTEM = { config: '/etc/centreond', data: '/var/lib/centreond' } as const;

export interface LoadOptions {
  /** The file of --config; searched for when left out. */
  file?: string | undefined;
  cwd: string;
  /** The folder of the machine's own config. */
  systemFolder?: string | undefined;
}

// What sun_path holds, less its closing zero.
const SOCKET_PATH_LIMIT = 107;

/**
 * Finds and reads the config with its fragments and checks everything but each plugin's own part (`config`), which only
 * {@link validatePluginConfig} can. Reports every mistake at once, each with its place. Never throws.
 */
export async function loadConfig({ file, cwd, systemFolder = SYSTEM.config }: LoadOptions): Promise<Loaded> {
  const found = await findSource(file, cwd, systemFolder);
  if ('problem' in found)
    return { config: undefined, scope: undefined, problems: [found.problem], file: '', source: undefined, files: [] };
  const folder = dirname(found.source.file);
  const main = readPart(found.source, ConfigFile);
  const fragments = await readFragments(folder);
  const parts = [main, ...fragments.parts];
  const path = z.string().safeParse(valueAt(main.value, ['core', 'dataDir']));
  const dataDir = resolve(folder, main.parsed?.core.dataDir ?? path.data ?? 'var');
  const socket = join(dataDir, 'run', 'router.ipc');
  const plugins = parts.flatMap(({ source, value }) => entriesOf(source, value));
  const problems = [
    ...fragments.problems,
    ...parts.flatMap((part) => part.problems),
    ...clientProblems(found.source, main.value),
    ...storeProblems(found.source, main.value),
    ...clusterProblems(found.source, main.value),
    ...packageProblems(parts),
    ...sharedProcessProblems(parts),
    ...folderProblems(found.source, dataDir, socket),
  ];
  const scope: Scope = { file: found.source.file, core: { dataDir }, plugins };
  const files = parts.map((part) => part.source.file);
  const broken = problems.some(({ severity }) => severity === 'error');
  const { core, clients } = main.parsed ?? {};
  const config: Config | undefined =
    broken || !core || !clients
      ? undefined
      : { ...scope, files, core: { ...core, id: core.id ?? defaultId(), dataDir, socket }, clients };
  const { source } = found;
  return { config, scope, problems: inOrder(problems, scope.file), file: scope.file, source, files };
}

/**
 * The entry of a plugin that a request names rather than a file. A path is relative to the config file; what the request
 * leaves out is as in a file. Problems bear no useful place.
 */
export function requestedEntry(
  scope: Scope,
  request: { package: string; as?: string; config?: Record<string, unknown> },
): PluginEntry | Problem[] {
  const file = join(dirname(scope.file), 'LOADPLUGIN');
  const part = readPart(plainSource(file, { plugins: [request] }), Fragment);
  const [entry] = entriesOf(part.source, part.value);
  return entry ?? part.problems;
}

/** The limits of a plugin whose entry sets none. */
export function defaultPluginLimits(): PluginEntry['limits'] {
  return PluginPart.shape.limits.parse(undefined);
}

interface Part<T> {
  source: Source;
  /** What the file holds, keys without a value left out. */
  value: unknown;
  parsed: T | undefined;
  problems: Problem[];
}

function readPart<S extends z.ZodType>(source: Source, schema: S): Part<z.output<S>> {
  const problems = [...source.problems];
  const value = withoutNulls(source.value, []) ?? {};
  if (source.value === undefined) return { source, value, parsed: undefined, problems };
  const result = schema.safeParse(value);
  if (!result.success) problems.push(...zodProblems(result.error.issues, source, value, jsonSchemaOf(schema)));
  return { source, value, parsed: result.data, problems };
}

async function readFragments(folder: string) {
  const files = await listFragments(join(folder, 'conf.d'));
  if (!Array.isArray(files)) return { parts: [], problems: [files] };
  const parts: Part<z.output<typeof Fragment>>[] = [];
  const problems: Problem[] = [];
  for (const file of files) {
    const found = await openSource(file);
    if ('problem' in found) problems.push(found.problem);
    else parts.push(readPart(found.source, Fragment));
  }
  return { parts, problems };
}

/** A key that is written down with nothing behind it counts as left out, but for a plugin's own settings. */
function withoutNulls(value: unknown, path: Path): unknown {
  if (path[0] === 'plugins' && path[2] === 'config' && path.length > 3) return value;
  if (Array.isArray(value)) return value.map((item, i) => withoutNulls(item, [...path, i]));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null || path[2] === 'config')
      .map(([key, item]) => [key, withoutNulls(item, [...path, key])]),
  );
}

/** The entries that are sound by themselves. */
function entriesOf(source: Source, value: unknown): PluginEntry[] {
  return listAt(value, ['plugins']).flatMap((item, i) => {
    const { data } = PluginPart.safeParse(item);
    const path = ['plugins', i];
    return data ? [{ ...data, source, path, at: source.at(path) }] : [];
  });
}

/** Tells the second and later occurrences of what may be given once, each with the place of the first. */
class Once {
  readonly #seen = new Map<string, Position>();

  check(what: string, key: string, at: Position, remedy: string): Problem[] {
    const first = this.#seen.get(key);
    if (first) return [problem('CONFIG_DUPLICATE', at, { what, first: placeOf(first), remedy })];
    this.#seen.set(key, at);
    return [];
  }
}

// Asked of the raw values, so that a mistake in one setting of an entry hides no other.
function clientProblems(source: Source, value: unknown): Problem[] {
  const problems: Problem[] = [];
  const once = new Once();
  const path = ['clients', 'authorized'];
  const id = valueAt(value, ['core', 'id']) ?? defaultId();
  for (const [i, client] of listAt(value, path).entries()) {
    for (const key of ['identity', 'fingerprint']) {
      const word = valueAt(client, [key]);
      if (typeof word !== 'string') continue;
      const at = source.at([...path, i, key]);
      const remedy = 'One identity has one key and one entry; merge the two.';
      problems.push(...once.check(`The ${key} ${word}`, `${key} ${word}`, at, remedy));
      const where = formatPath([...path, i, key]);
      const reason = `is ${word}, the id of this router itself; give the client another`;
      if (key === 'identity' && word === id) problems.push(problem('CONFIG_BAD_VALUE', at, { where, reason }));
    }
    if (listAt(client, ['subnodes']).length === 0 || listAt(client, ['roles']).includes('node')) continue;
    const where = [...path, i, 'subnodes'];
    const reason = 'only a client with the role node announces nodes';
    const details = { where: formatPath(where), reason };
    problems.push(problem('CONFIG_NO_EFFECT', source.keyAt(where), details, 'warning'));
  }
  return problems;
}

/** `url` and the driver that it is for go together. */
function storeProblems(source: Source, value: unknown): Problem[] {
  const [path, url] = [
    ['core', 'store'],
    ['core', 'store', 'url'],
  ];
  const isPostgres = valueAt(value, [...path, 'driver']) === 'postgres';
  const hasUrl = valueAt(value, url) !== undefined;
  const where = formatPath(url);
  if (isPostgres && !hasUrl) {
    const hint = 'Write file:PATH, with postgresql://USER:PASSWORD@HOST:PORT/DATABASE in that file (mode 0600).';
    return [problem('CONFIG_MISSING_KEY', source.keyAt([...path, 'driver']), { where, hint })];
  }
  if (isPostgres || !hasUrl) return [];
  const reason = 'is for driver: postgres, and this store is a file of SQLite; set that driver, or remove the url';
  return [problem('CONFIG_BAD_VALUE', source.keyAt(url), { where, reason })];
}

/** Routers are one by the database that they share. */
function clusterProblems(source: Source, value: unknown): Problem[] {
  const path = ['core', 'cluster'];
  const isShared = valueAt(value, ['core', 'store', 'driver']) === 'postgres';
  if (isShared || valueAt(value, path) === undefined) return [];
  const reason =
    'is for routers that share a database; set core.store.driver: postgres and core.store.url, or remove core.cluster';
  return [problem('CONFIG_BAD_VALUE', source.keyAt(path), { where: formatPath(path), reason })];
}

function packageProblems(parts: readonly Part<unknown>[]): Problem[] {
  const once = new Once();
  return parts.flatMap(({ source, value }) =>
    listAt(value, ['plugins']).flatMap((entry, i) => {
      const name = valueAt(entry, ['package']);
      if (typeof name !== 'string') return [];
      const as = valueAt(entry, ['as']);
      if (typeof as === 'string')
        return once.check(`The type ${as}`, `as ${as}`, source.at(['plugins', i, 'as']), 'Choose another.');
      const key = isPackagePath(name) ? resolve(dirname(source.file), name) : name;
      const at = source.at(['plugins', i, 'package']);
      const remedy = 'Merge the two entries, or give one a type of its own (as: TYPE) to run the package twice.';
      return once.check(`The plugin ${name}`, key, at, remedy);
    }),
  );
}

/** What is set for the process of one plugin. */
const OF_OWN_PROCESS: readonly Path[] = [
  ['limits', 'memory'],
  ['limits', 'niceness'],
  ['limits', 'processes'],
  ['limits', 'stuck'],
  ['env'],
];

/** Settings of an entry that are for a process of its own, where it has none. */
function sharedProcessProblems(parts: readonly Part<unknown>[]): Problem[] {
  return parts.flatMap(({ source, value }) =>
    listAt(value, ['plugins']).flatMap((entry, i) => {
      if (valueAt(entry, ['process']) !== 'shared') return [];
      return OF_OWN_PROCESS.filter((key) => valueAt(entry, key) !== undefined).map((key) => {
        const where = ['plugins', i, ...key];
        const reason =
          'is for a process of its own, and this plugin shares one (process: shared); remove one of the two';
        return problem('CONFIG_BAD_VALUE', source.keyAt(where), { where: formatPath(where), reason });
      });
    }),
  );
}

function folderProblems(source: Source, folder: string, socket: string): Problem[] {
  const problems: Problem[] = [];
  const at = source.at(['core', 'dataDir']);
  const bytes = Buffer.byteLength(socket);
  if (bytes > SOCKET_PATH_LIMIT)
    problems.push(problem('SOCKET_PATH_TOO_LONG', at, { path: socket, bytes, limit: SOCKET_PATH_LIMIT }));
  const reason = obstacleOf(folder);
  if (reason !== undefined) problems.push(problem('DATA_DIR_UNUSABLE', at, { path: folder, reason }));
  return problems;
}

/** Why `folder` cannot be made or used; undefined also where there is none yet. */
function obstacleOf(folder: string): string | undefined {
  try {
    const found = statSync(folder, { throwIfNoEntry: false });
    if (found && !found.isDirectory()) return 'it is no folder';
    if (found) accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

function listAt(root: unknown, path: Path): unknown[] {
  const value = valueAt(root, path);
  return Array.isArray(value) ? value : [];
}

/** What differs between the running config and a fresh one, and only a restart changes: as sentences. */
export function restartRemarks(running: Config, fresh: Config): string[] {
  const { log: _, ...before } = running.core;
  const { log: __, ...after } = fresh.core;
  const keys = Object.keys({ ...before, ...after }) as (keyof typeof after)[];
  const changed = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  return changed.map((key) => `core.${key}: only a restart changes that`);
}
