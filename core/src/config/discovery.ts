import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { longNameOf, manifestAs } from '@centreond/plugin-sdk/internal';
import { inOrder, type Position, type Problem, problem } from '../errors.ts';
import { type Loaded, type LoadOptions, loadConfig, type PluginEntry, type Scope, secretVariables } from './config.ts';
import { reachOf, resolveModule } from './copies.ts';
import { API_VERSION, MANIFEST_FILE, type Manifest, readManifest } from './manifest.ts';
import { firstPackageFolder, modulePlaces, type Package, readPackage } from './package.ts';
import { secretProblems, validatePluginConfig } from './plugin-config.ts';
import { isPackagePath } from './schema.ts';

export type { Manifest } from './manifest.ts';

/** A plugin that can be started: its entry in the config, its package and what it declares. */
export interface Discovered {
  entry: PluginEntry;
  /** The package's folder, links followed. */
  folder: string;
  /** The file to import, absolute. */
  main: string;
  package: string;
  version: string;
  /** What its package declares, under the type that the entry gives it. */
  manifest: Manifest;
}

/** What {@link findPlugins} found. */
export interface FoundPlugins {
  /** All whose package and manifest can be used. */
  found: Discovered[];
  /** Those of them that can be started: their settings have no mistake. */
  plugins: Discovered[];
  problems: Problem[];
}

/**
 * Finds the package of each enabled entry, reads its manifest and checks its settings. Runs no plugin code and never throws: a
 * plugin that cannot be used becomes a problem at its entry, and the others are there. No plugin may claim `coreActions`, nor
 * what the `loaded` plugins claim. Packages are looked for last of all from `installation` up, a folder of the daemon's own. A secret's
 * variable that is not set here is a problem of the `unset` severity: only the daemon knows its own environment.
 */
export function findPlugins(
  scope: Scope,
  coreActions: readonly string[],
  loaded: readonly Discovered[] = [],
  installation: string = import.meta.dirname,
  unset: Problem['severity'] = 'warning',
): FoundPlugins {
  const { found, problems } = findPackages(scope, coreActions, loaded, installation);
  const plugins = found.filter(({ entry, manifest }) => {
    let faults = validatePluginConfig(entry, manifest);
    if (faults.length === 0) faults = secretProblems(entry, manifest, process.env, unset);
    if (faults.length === 0) faults = sharingProblems(entry, manifest);
    problems.push(...faults);
    return !faults.some(({ severity }) => severity === 'error');
  });
  return { found, plugins, problems };
}

/** Finds the packages of the enabled entries and their manifests, as {@link findPlugins} does, whatever their settings are. */
export function findPackages(
  scope: Scope,
  coreActions: readonly string[],
  loaded: readonly Discovered[] = [],
  installation: string = import.meta.dirname,
): Pick<FoundPlugins, 'found' | 'problems'> {
  const found: Discovered[] = [];
  const problems: Problem[] = [];
  for (const entry of scope.plugins) {
    if (!entry.enable) continue;
    const read = readPlugin(entry, scope, installation);
    const faults = Array.isArray(read) ? read : clashesOf(read, [...loaded, ...found], coreActions);
    problems.push(...faults);
    if (!Array.isArray(read) && faults.length === 0) found.push(read);
  }
  return { found, problems };
}

/** Loads the config and finds its plugins, with every mistake of both in order. Runs no plugin code and never throws. */
export async function examine(options: LoadOptions, coreActions: readonly string[]): Promise<Loaded & FoundPlugins> {
  const loaded = await loadConfig(options);
  if (!loaded.scope) return { ...loaded, found: [], plugins: [] };
  const { found, plugins, problems } = findPlugins(loaded.scope, coreActions);
  return { ...loaded, found, plugins, problems: inOrder([...loaded.problems, ...problems], loaded.file) };
}

/** Why a plugin cannot share a process, if its entry says that it does. */
function sharingProblems(entry: PluginEntry, manifest: Manifest): Problem[] {
  if (entry.process !== 'shared') return [];
  const { type, isolation } = manifest;
  const [variable] = secretVariables(entry, manifest);
  let reason: string | undefined;
  if (isolation === 'core') reason = "it runs in the daemon's own process";
  else if (variable !== undefined)
    reason = `its config names env:${variable}, and every plugin of that process would have ${variable} in its environment; name a file there (file:PATH)`;
  if (reason === undefined) return [];
  const at = entry.source.at([...entry.path, 'process']);
  return [problem('PLUGIN_CANNOT_SHARE', at, { type, package: entry.package, reason })];
}

function ownerOf({ package: name, entry }: Discovered): string {
  const as = entry.as === undefined ? '' : ` as ${entry.as}`;
  return `${name}${as} (${entry.at.file}:${entry.at.line})`;
}

function clashesOf(
  { entry, manifest, package: name }: Discovered,
  others: readonly Discovered[],
  coreActions: readonly string[],
): Problem[] {
  const { type, actions } = manifest;
  const at = entry.source.at([...entry.path, entry.as === undefined ? 'package' : 'as']);
  const tooLong = longNameOf(manifest);
  if (entry.as !== undefined && tooLong !== undefined)
    return [problem('ACTION_NAME_TOO_LONG', at, { as: entry.as, action: tooLong, package: name })];
  const second = entry.as === undefined ? name : `${name} as ${entry.as}`;
  const problems: Problem[] = [];
  const owner = others.find(({ manifest }) => manifest.type === type);
  if (owner) problems.push(problem('TYPE_CLAIMED_TWICE', at, { type, second, first: ownerOf(owner) }));
  for (const { name: action } of actions) {
    const holder = others.find(({ manifest }) => manifest.actions.some(({ name }) => name === action));
    const first = holder ? ownerOf(holder) : coreActions.includes(action) ? 'the core' : undefined;
    if (first !== undefined) problems.push(problem('ACTION_CLAIMED_TWICE', at, { action, second, first }));
  }
  return problems;
}

/** The places where the package of `entry` is looked for, first to last. */
export function placesOf(entry: PluginEntry, scope: Scope, installation: string): string[] {
  const name = entry.package;
  if (isPackagePath(name)) return [resolve(dirname(entry.source.file), name)];
  const store = join(scope.core.dataDir, 'plugins');
  return [
    ...modulePlaces(dirname(scope.file), name),
    join(store, 'node_modules', name),
    join(store, name),
    ...modulePlaces(installation, name),
  ];
}

function readPlugin(entry: PluginEntry, scope: Scope, installation: string): Discovered | Problem[] {
  const at = entry.source.at([...entry.path, 'package']);
  const places = placesOf(entry, scope, installation);
  const folder = firstPackageFolder(places);
  if (folder === undefined) return [notFound(entry, places, at)];
  const pkg = readPackage(folder);
  if (typeof pkg === 'string') return [problem('PLUGIN_NO_PACKAGE', at, { folder, reason: pkg })];
  const named = { package: pkg.name };
  const file = join(folder, MANIFEST_FILE);
  if (!existsSync(file)) return [problem('PLUGIN_NO_MANIFEST', at, { ...named, file })];
  const read = readManifest(file);
  if ('reason' in read) return [problem('PLUGIN_BAD_MANIFEST', at, { ...named, file, reason: read.reason })];
  if ('api' in read)
    return [problem('PLUGIN_API_VERSION', at, { ...named, found: read.api, sdk: read.sdk, supported: API_VERSION })];
  const manifest = manifestAs(read.manifest, entry.as);
  const problems: Problem[] = [];
  if (!existsSync(pkg.main)) problems.push(problem('PLUGIN_NO_MAIN', at, { ...named, main: pkg.main }));
  if (manifest.isolation === 'core' && !entry.allowCore)
    problems.push(problem('PLUGIN_NEEDS_CORE', at, { ...named, type: manifest.type }));
  problems.push(...sharedModuleProblems(pkg, manifest, installation, at));
  if (problems.length > 0) return problems;
  return { entry, folder, main: pkg.main, package: pkg.name, version: pkg.version, manifest };
}

function notFound(entry: PluginEntry, places: readonly string[], at: Position): Problem {
  const name = entry.package;
  const [folder = ''] = places;
  if (isPackagePath(name)) {
    const reason = existsSync(folder) ? 'it has no package.json' : 'it does not exist';
    return problem('PLUGIN_NO_PACKAGE', at, { folder, reason });
  }
  const searched = places.map((place) => place.slice(0, -name.length - 1));
  return problem('PLUGIN_NOT_FOUND', at, { package: name, searched: [...new Set(searched)] });
}

function sharedModuleProblems(pkg: Package, manifest: Manifest, installation: string, at: Position): Problem[] {
  const { copies, lacking } = reachOf(pkg);
  const faults = lacking.map((module) =>
    problem('PLUGIN_LACKS_MODULE', at, { package: pkg.name, module, folder: pkg.folder }),
  );
  if (manifest.isolation !== 'core') return faults;
  for (const [module, folders] of copies) {
    const shared = resolveModule(installation, module);
    if (shared !== undefined && !folders.includes(shared)) folders.push(shared);
    // A process of its own loads the SDK's copies, whichever copies its modules would find.
    if (folders.length > 1)
      faults.push(problem('PLUGIN_TWO_COPIES', at, { package: pkg.name, module, copies: folders }));
  }
  return faults;
}
