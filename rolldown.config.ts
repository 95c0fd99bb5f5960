// Bundles the core and the plugins, each into the folder `bundle` of its package: a process that reads few files starts in a
// fraction of the time. Run in the folder of one package, it bundles that package only.
import { globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import {
  defineConfig,
  type ExistingRawSourceMap,
  type OutputOptions,
  type Plugin,
  type RolldownOptions,
} from 'rolldown';

const ROOT = import.meta.dirname;
const CORE = path.join(ROOT, 'core');

/** Native modules, and those that must be the same in a plugin and in the process around it. */
const EXTERNAL = [/^better-sqlite3/, /^node-unix-socket/, /^ssh2/, /^zeromq/, /^reflect-metadata/, /^tsyringe/];
/** Loaded only where traces are configured. */
const FOR_TRACES = /^@opentelemetry\//;
/** Plugins get these from the process that they run in. */
const FROM_THE_CORE = /^@centreond\/(plugin-sdk|protocol)(\/|$)/;
/** What pg would load if it were asked to, or ran elsewhere. */
const FOR_OTHER_HOSTS = ['pg-native', /^cloudflare:/];
/** Loaded only by configs in TypeScript, where they are installed. */
const FROM_THE_CONFIG = /^typescript$/;

/** Bundles what the compiler wrote, with maps that lead to the sources and hold them; libraries get no map. */
const withMaps: Plugin = {
  name: 'with-maps',
  load(id) {
    if (!/\.[cm]?js$/.test(id)) return undefined;
    return { code: readFileSync(id, 'utf8'), map: id.includes('/node_modules/') ? { mappings: '' } : mapOf(id) };
  },
};

/** The compiler's map of `file`, with the sources in it. */
function mapOf(file: string): ExistingRawSourceMap {
  const map = JSON.parse(readFileSync(`${file}.map`, 'utf8')) as { mappings: string; sources: string[] };
  const texts = map.sources.map((source) => readFileSync(path.resolve(path.dirname(file), source), 'utf8'));
  return { ...map, sourcesContent: texts };
}

/** Writes the licences of the libraries that a bundle holds beside it. */
const licences: Plugin = {
  name: 'licences',
  generateBundle(_, bundle) {
    const folders = new Map<string, string>();
    for (const output of Object.values(bundle)) {
      for (const module of output.type === 'chunk' ? output.moduleIds : []) {
        const [folder, name] = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(module) ?? [];
        if (folder !== undefined && name !== undefined) folders.set(name, folder);
      }
    }
    const texts = [...folders].sort().map(([name, folder]) => `${name}\n\n${licenceIn(folder)}`);
    this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source: texts.join(`\n${'-'.repeat(80)}\n`) });
  },
};

/** The licence of the package in `folder`: its file, else the name that its package.json gives. */
function licenceIn(folder: string): string {
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  if (file !== undefined) return readFileSync(path.join(folder, file), 'utf8');
  const { license } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { license?: string };
  if (license === undefined) throw new Error(`${folder} names no licence`);
  return `${license}\n`;
}

function outputIn(folder: string): OutputOptions {
  return {
    dir: path.join(folder, 'bundle'),
    cleanDir: true,
    format: 'esm',
    sourcemap: true,
    // All in one folder: a module finds the files of its package one level up.
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
  };
}

interface Exports {
  readonly name: string;
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
}

/** What plugins get from the core: the entry that each specifier is in the core's bundle. */
function sharedEntries() {
  return ['protocol', 'sdk'].flatMap((name) => {
    const folder = path.join(ROOT, 'plugin-sdk', name);
    const described = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Exports;
    return Object.entries(described.exports).flatMap(([subpath, target]) => {
      if (typeof target === 'string') return [];
      const specifier = path.posix.join(described.name, subpath);
      const entry = specifier.replace('@centreond/', 'shared-').replaceAll('/', '-');
      return [{ specifier, entry, file: path.join(folder, target.default) }];
    });
  });
}

function core(): RolldownOptions {
  const shared = sharedEntries();
  const files = Object.fromEntries(shared.map(({ specifier, entry }) => [specifier, `./${entry}.js`]));
  return {
    platform: 'node',
    input: {
      centreond: path.join(CORE, 'dist/cli/main.js'),
      child: path.join(CORE, 'dist/host/child.js'),
      'writer-thread': path.join(CORE, 'dist/store/sqlite/writer-thread.js'),
      reader: path.join(CORE, 'dist/store/sqlite/reader.js'),
      'pg-writer-thread': path.join(CORE, 'dist/store/postgres/pg-writer-thread.js'),
      'pg-reader-thread': path.join(CORE, 'dist/store/postgres/pg-reader-thread.js'),
      'copy-thread': path.join(CORE, 'dist/store/sqlite/copy-thread.js'),
      ...Object.fromEntries(shared.map(({ entry, file }) => [entry, file])),
    },
    external: [...EXTERNAL, FROM_THE_CONFIG, ...FOR_OTHER_HOSTS],
    transform: { define: { SHARED_IN_BUNDLE: JSON.stringify(files) } },
    plugins: [withMaps, licences],
    // Hidden: each process of a plugin would read the maps of the core's modules, to show what its own code threw.
    output: { ...outputIn(CORE), sourcemap: 'hidden' },
  };
}

function plugin(folder: string): RolldownOptions {
  return {
    platform: 'node',
    // The threads of a plugin are entries beside it.
    input: globSync('dist/{index,thread}.js', { cwd: folder }).map((file) => path.join(folder, file)),
    external: [...EXTERNAL, FROM_THE_CORE, FOR_TRACES],
    plugins: [withMaps, licences],
    output: outputIn(folder),
  };
}

/** The plugins whose package.json names a bundle. */
const PLUGINS = globSync('plugins/*/package.json', { cwd: ROOT })
  .filter((file) => readFileSync(path.join(ROOT, file), 'utf8').includes('"./bundle/index.js"'))
  .map((file) => path.join(ROOT, path.dirname(file)));

const changedAt = (file: string) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** When anything that goes into a bundle was last changed. */
const INPUTS_CHANGED_AT = Math.max(
  ...[
    'rolldown.config.ts',
    'package-lock.json',
    ...globSync('{core,plugin-sdk/*,plugins/*}/{package.json,dist/**/*.{js,map}}', { cwd: ROOT }),
  ].map((file) => changedAt(path.join(ROOT, file))),
);

/** A bundle that is up to date is not written again: a daemon may be starting from it. */
const isStale = (folder: string) => changedAt(path.join(folder, 'bundle/LICENSES.txt')) < INPUTS_CHANGED_AT;

export default defineConfig(
  [{ folder: CORE, options: core() }, ...PLUGINS.map((folder) => ({ folder, options: plugin(folder) }))]
    .filter(({ folder }) => (process.cwd() === ROOT || process.cwd() === folder) && isStale(folder))
    .map(({ options }) => options),
);
