import { access, constants, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { reasonOf } from '@centreond/protocol';
import { type CosmiconfigResult, cosmiconfig, type PublicExplorer } from 'cosmiconfig';
import { type Problem, problem } from '../errors.ts';
import { parseSource, plainSource, type Source, startOf } from './source.ts';

const NAMES = ['centreond.yaml', 'centreond.yml', 'centreond.json'];
const LOCAL_NAMES = [...NAMES, ...NAMES.map((name) => join('config', name))];
const TEXTS = ['.yaml', '.yml', '.json'];
const MODULES = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts'];

/** A file's source, or why there is none. */
export type Found = { source: Source } | { problem: Problem };

/** Finds the config file: `file` itself, else the first of the search places. Relative paths start at `cwd`. */
export async function findSource(file: string | undefined, cwd: string, systemFolder: string): Promise<Found> {
  if (file !== undefined) return openSource(resolve(cwd, file));
  const places: string[] = [];
  for (const [folder, names] of [
    [resolve(cwd), LOCAL_NAMES],
    [resolve(systemFolder), NAMES],
  ] as const) {
    const found = await explore(folder, names, (explorer) => explorer.search(folder));
    if (found && 'problem' in found) return found;
    // The search passes over what it cannot read, and no other file than the one meant must count.
    for (const place of names.map((name) => join(folder, name))) {
      if (place === found?.source.file) return found;
      const reason = await obstacle(place);
      if (reason !== undefined) return refused(place, reason);
      places.push(place);
    }
  }
  return { problem: problem('CONFIG_NOT_FOUND', startOf(resolve(cwd, 'centreond.yaml')), { searched: places }) };
}

/** Opens one config file. Never throws. */
export async function openSource(file: string): Promise<Found> {
  const none = { problem: problem('CONFIG_NO_SUCH_FILE', startOf(file), { file }) };
  if (!/\.(ya?ml|json|[cm]?[jt]s)$/.test(file)) return none;
  const reason = await obstacle(file);
  if (reason !== undefined) return refused(file, reason);
  const found = await explore(file, [basename(file)], (explorer) => explorer.load(file));
  return found ?? none;
}

/** The files of a folder that can be fragments of a config, sorted by name; none where there is no folder. */
export async function listFragments(folder: string): Promise<string[] | Problem> {
  try {
    const names = await readdir(folder);
    return names
      .filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name))
      .sort()
      .map((name) => join(folder, name));
  } catch (error) {
    if (isMissing(error)) return [];
    return refused(folder, reasonOf(error)).problem;
  }
}

async function explore(
  place: string,
  searchPlaces: readonly string[],
  run: (explorer: PublicExplorer) => Promise<CosmiconfigResult>,
): Promise<Found | undefined> {
  let opened: Source | undefined;
  const text = (file: string, content: string) => (opened = parseSource(file, content));
  const module = async (file: string) => (opened = await importSource(file));
  try {
    const result = await run(
      cosmiconfig('centreond', {
        searchPlaces: [...searchPlaces],
        cache: false,
        ignoreEmptySearchPlaces: false,
        loaders: Object.fromEntries([
          ...TEXTS.map((extension) => [extension, text]),
          ...MODULES.map((extension) => [extension, module]),
        ]),
      }),
    );
    if (result === null) return undefined;
    const { filepath, isEmpty } = result;
    if (isEmpty) return { source: parseSource(filepath, '') };
    return opened && { source: opened };
  } catch (error) {
    if (isMissing(error)) return undefined;
    return refused(place, reasonOf(error));
  }
}

async function importSource(file: string): Promise<Source> {
  // A module is imported once per URL, and a reload has to see what was written since.
  const { mtimeMs } = await stat(file);
  try {
    const exports: { default?: unknown } = await import(`${pathToFileURL(file).href}?v=${mtimeMs}`);
    return plainSource(file, exports.default);
  } catch (error) {
    const broken = problem('CONFIG_BROKEN_MODULE', startOf(file), { reason: reasonOf(error) });
    return { ...plainSource(file, {}), value: undefined, problems: [broken] };
  }
}

/** Why what stands at `file` cannot be read as a file; undefined where it can, or where nothing stands there. */
async function obstacle(file: string): Promise<string | undefined> {
  try {
    if (!(await stat(file)).isFile()) return 'it is no file';
    await access(file, constants.R_OK);
    return undefined;
  } catch (error) {
    return isMissing(error) ? undefined : reasonOf(error);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function refused(file: string, reason: string): { problem: Problem } {
  return { problem: problem('CONFIG_UNREADABLE', startOf(file), { reason }) };
}
