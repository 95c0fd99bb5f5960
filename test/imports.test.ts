import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from './daemon-process.ts';

/** What each source file below `folder` imports. */
function importsOf(folder: string): { file: string; imports: string[] }[] {
  return globSync('**/*.ts', { cwd: path.join(ROOT, folder) }).map((file) => {
    const text = readFileSync(path.join(ROOT, folder, file), 'utf8');
    const imports = [...text.matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map(([, name = '']) => name);
    return { file: `${folder}/${file}`, imports };
  });
}

function offenders(folder: string, isWrong: (imported: string) => boolean): string[] {
  const all = importsOf(folder);
  expect(all.length).toBeGreaterThan(0);
  return all.flatMap(({ file, imports }) => imports.filter(isWrong).map((name) => `${file} imports ${name}`));
}

/** What each package below plugin-sdk may import of the others. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  client: ['protocol'],
  sdk: ['protocol'],
  runtime: ['protocol', 'client', 'plugin-sdk'],
  kit: ['protocol', 'plugin-sdk', 'plugin-runtime'],
};

test('a package of the SDK imports those below it, and nothing of the core or of a plugin', () => {
  expect(globSync('plugin-sdk/*/package.json', { cwd: ROOT }).length).toBe(Object.keys(PACKAGES).length);
  for (const [folder, others] of Object.entries(PACKAGES)) {
    const allowed = new RegExp(`^@centreond/(${others.join('|')})(/|$)`);
    const isWrong = (name: string) =>
      (name.startsWith('@centreond/') && !allowed.test(name)) || name.startsWith('../../') || name.includes('/core/');
    expect(offenders(`plugin-sdk/${folder}/src`, isWrong)).toEqual([]);
  }
});

test('the core imports no plugin, no kit, and of the other packages only what they export', () => {
  const sdk = /^@centreond\/(protocol|client|plugin-sdk|plugin-runtime)(\/|$)/;
  expect(offenders('core/src', (name) => name.startsWith('@centreond/') && !sdk.test(name))).toEqual([]);
  expect(offenders('core/src', (name) => name.startsWith('.') && name.includes('plugin-sdk'))).toEqual([]);
});

/** What several bundled plugins share, published like them. */
const LIBRARIES = ['@centreond/carrying', '@centreond/command', '@centreond/receiving'];

test('a bundled plugin imports the SDK and its own dependencies: no core, no other plugin, no door of its own', () => {
  for (const plugin of globSync('plugins/*', { cwd: ROOT })) {
    const { dependencies = {}, peerDependencies = {} } = JSON.parse(
      readFileSync(path.join(ROOT, plugin, 'package.json'), 'utf8'),
    ) as { dependencies?: object; peerDependencies?: object };
    const own = [...Object.keys(dependencies), ...Object.keys(peerDependencies)];
    const allowed = [...LIBRARIES, '@centreond/plugin-sdk', '@centreond/protocol'];
    const isOwn = (name: string) =>
      /^node:|^\.\/|^\.\.\/(?!\.\.)/.test(name) || own.some((one) => name === one || name.startsWith(`${one}/`));
    expect(own.filter((name) => name.startsWith('@centreond/') && !allowed.includes(name))).toEqual([]);
    expect(offenders(`${plugin}/src`, (name) => !isOwn(name))).toEqual([]);
  }
});

test('a router without SSH nodes loads no ssh2: only the plugin ssh depends on it, and others import its types at most', () => {
  const readers = globSync('{core,plugins/*,plugin-sdk/*}', { cwd: ROOT }).flatMap((folder) =>
    importsOf(`${folder}/src`).filter(({ imports }) => imports.includes('ssh2')),
  );
  const others = readers.map(({ file }) => file).filter((file) => !file.startsWith('plugins/ssh/'));
  expect(others).toEqual(['plugins/receiving/src/sftp.ts']);
  expect(readFileSync(path.join(ROOT, 'plugins/receiving/dist/sftp.js'), 'utf8')).not.toContain('ssh2');
  const dependants = globSync('{core,plugins/*,plugin-sdk/*}/package.json', { cwd: ROOT }).filter(
    (file) => 'ssh2' in ((JSON.parse(readFileSync(path.join(ROOT, file), 'utf8')).dependencies ?? {}) as object),
  );
  expect(dependants).toEqual(['plugins/ssh/package.json']);
});

test('the tables of errors and of status codes import nothing', () => {
  const tables = importsOf('plugin-sdk/protocol/src').filter(({ file }) => /\/(errors|status)\.ts$/.test(file));
  expect(tables.map(({ imports }) => imports)).toEqual([[], []]);
});

const CORE = 'core/src';
const GROUND = ['errors', 'log', 'clock', 'gate', 'closing', 'private-file', 'words', 'own-package', 'shares', 'turns'];
/** What each room of the core may import: itself, the ground, and these. Arrows go one way. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  store: [],
  config: [],
  'data-folder': ['store', 'config', 'doors'],
  router: ['store'],
  doors: ['router', 'config'],
  host: ['router', 'config', 'store'],
  fleet: ['router', 'store'],
  cluster: ['router', 'store', 'fleet', 'config', 'doors'],
  'core-actions': ['router', 'doors', 'host', 'fleet'],
  daemon: ['store', 'config', 'data-folder', 'router', 'doors', 'host', 'fleet', 'cluster', 'core-actions'],
  cli: ['config', 'doors', 'router', 'data-folder', 'core-actions', 'daemon'],
};

/** The room of a file of the core: its folder, or for a file directly in src its own name. */
function roomOf(file: string): string {
  const [first = ''] = path.relative(CORE, file).split(path.sep);
  return first.replace(/\.ts$/, '');
}

/** The imports among the core's own files, as pairs of files. */
function coreArrows(): { from: string; to: string }[] {
  return importsOf(CORE).flatMap(({ file, imports }) =>
    imports
      .filter((name) => name.startsWith('.') && name.endsWith('.ts'))
      .map((name) => ({ from: file, to: path.join(path.dirname(file), name) })),
  );
}

test('a room of the core imports the ground and the rooms below it, and no other', () => {
  const wrong = coreArrows().filter(({ from, to }) => {
    const [room, other] = [roomOf(from), roomOf(to)];
    return room !== other && !GROUND.includes(other) && !(ROOMS[room] ?? []).includes(other);
  });
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

test('no file of the core imports itself over others', () => {
  const arrows = Map.groupBy(coreArrows(), ({ from }) => from);
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(' → '));
    if (done.has(file) || way.includes(file)) return;
    for (const { to } of arrows.get(file) ?? []) visit(to, [...way, file]);
    done.add(file);
  };
  for (const file of arrows.keys()) visit(file, []);
  expect(circles).toEqual([]);
});

test('the core has at most eight floors, its packages the lowest: a room stands above all that it imports', () => {
  const floors = new Map<string, number>();
  const arrows = Map.groupBy(coreArrows(), ({ from }) => roomOf(from));
  const floorOf = (room: string): number => {
    const below = (arrows.get(room) ?? []).map(({ to }) => roomOf(to)).filter((other) => other !== room);
    const floor = floors.get(room) ?? 1 + Math.max(1, ...below.map(floorOf));
    floors.set(room, floor);
    return floor;
  };
  expect(Math.max(...[...arrows.keys()].map(floorOf))).toBeLessThanOrEqual(8);
});

test('the core shows at most twenty boxes at the first look', () => {
  expect(new Set(importsOf(CORE).map(({ file }) => roomOf(file))).size).toBeLessThanOrEqual(20);
});

test('only request.ts assigns the state of a request', () => {
  const assigns = /\b(open|request|this)\.#?state = ['"](recording|waiting|running|ended)['"]|\bopen\.state = /;
  const files = importsOf(CORE).map(({ file }) => file);
  const writers = files.filter((file) => assigns.test(readFileSync(path.join(ROOT, file), 'utf8')));
  expect(writers.filter((file) => file !== 'core/src/router/request.ts')).toEqual([]);
});

test('what a newcomer reads in one evening stays that short', () => {
  const lines = (file: string) => readFileSync(path.join(ROOT, file), 'utf8').split('\n').length - 1;
  const router = globSync('core/src/router/*.ts', { cwd: ROOT });
  expect(lines('core/src/daemon.ts')).toBeLessThanOrEqual(160);
  expect(
    [...router, 'core/src/daemon.ts', 'core/src/core-actions.ts'].reduce((sum, file) => sum + lines(file), 0),
  ).toBeLessThanOrEqual(3075);
});
