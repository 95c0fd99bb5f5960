import { execFile, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './temp-package.ts';

/** The folders of the packages that clients and authors of plugins install. */
export const PACKAGES = ['protocol', 'client', 'sdk', 'runtime', 'kit'].map((name) => `plugin-sdk/${name}`);

interface PackageJson {
  name: string;
  version: string;
  optionalDependencies?: Record<string, string>;
  [key: string]: unknown;
}

interface Held {
  json: PackageJson;
  /** Its installed folder, or the tarball that `npm pack` made. */
  folder?: string;
  tarball?: string;
}

/**
 * A registry on this machine: what the workspace has installed, and its own packages as `npm pack` makes them. So `npm install`
 * is what a stranger types, and needs no network.
 */
export class LocalRegistry {
  readonly #held = new Map<string, Held[]>();
  #server: Server | undefined;
  url = '';

  /** Packs `packages` (folders of the workspace) into `folder` and serves them with everything installed. */
  async start(folder: string, packages: readonly string[]): Promise<this> {
    for (const at of installed(path.join(ROOT, 'node_modules'))) this.#hold({ folder: at, json: jsonOf(at) });
    for (const name of packages) {
      const at = path.join(ROOT, name);
      // By itself, since what it prints would stand before the JSON.
      await promisify(execFile)('npm', ['run', '--silent', '--if-present', 'prepack'], { cwd: at });
      const args = ['pack', at, '--pack-destination', folder, '--json', '--ignore-scripts', '--loglevel=error'];
      const { stdout } = await promisify(execFile)('npm', args, { env: environment(folder) });
      const [{ filename } = { filename: '' }] = JSON.parse(stdout) as { filename: string }[];
      this.#hold({ tarball: path.join(folder, filename), json: jsonOf(at) });
    }
    const server = createServer((request, response) => {
      const [, name = '', version] =
        /^\/(@[^/]+\/[^/]+|[^/]+)(?:\/-\/(.+)\.tgz)?$/.exec(decodeURIComponent(request.url ?? '')) ?? [];
      const versions = this.#held.get(name);
      if (!versions) {
        response.writeHead(404).end('{}');
      } else if (version === undefined) {
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify(this.#packument(name, versions)));
      } else {
        const held = versions.find(({ json }) => json.version === version);
        if (held?.tarball) response.end(readFileSync(held.tarball));
        else if (held?.folder) tar(held.folder).pipe(response);
        else response.writeHead(404).end();
      }
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    this.url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`;
    return this;
  }

  stop(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  #hold(held: Held): void {
    const { name } = held.json;
    const all = this.#held.get(name);
    if (all) all.push(held);
    else this.#held.set(name, [held]);
  }

  #packument(name: string, versions: readonly Held[]): object {
    const entries = versions.map(({ json }) => {
      const { scripts: _, devDependencies: __, optionalDependencies = {}, ...rest } = json;
      const has = Object.entries(optionalDependencies).filter(([each]) => this.#held.has(each));
      const dist = { tarball: `${this.url}${name}/-/${json.version}.tgz` };
      // What is installed here is built already.
      return [json.version, { ...rest, optionalDependencies: Object.fromEntries(has), gypfile: false, dist }];
    });
    return { name, 'dist-tags': { latest: versions.at(-1)?.json.version }, versions: Object.fromEntries(entries) };
  }
}

/** An environment in which npm knows only `registry` and keeps its things in `folder`. */
export function environment(folder: string, registry = 'http://127.0.0.1:9/'): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^npm_|^NODE_OPTIONS$|^VITEST|^INIT_CWD$/i.test(name));
  return {
    ...Object.fromEntries(own),
    PATH: `${path.dirname(process.execPath)}:${process.env.PATH?.replaceAll(/[^:]*node_modules\/\.bin:/g, '')}`,
    HOME: folder,
    npm_config_registry: registry,
    npm_config_cache: path.join(folder, '.npm'),
    npm_config_userconfig: path.join(folder, '.npmrc'),
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    npm_config_yes: 'true',
  };
}

function installed(modules: string): string[] {
  return readdirSync(modules, { withFileTypes: true }).flatMap((entry) => {
    const at = path.join(modules, entry.name);
    if (!entry.isDirectory() || entry.name.startsWith('.')) return [];
    if (entry.name.startsWith('@')) return installed(at);
    const nested = path.join(at, 'node_modules');
    return [at, ...(readdirSync(at).includes('node_modules') ? installed(nested) : [])];
  });
}

function jsonOf(folder: string): PackageJson {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as PackageJson;
}

function tar(folder: string): NodeJS.ReadableStream {
  const name = path.basename(folder);
  const args = [
    '-C',
    path.dirname(folder),
    `--exclude=${name}/node_modules`,
    `--transform=s,^${name},package,`,
    '-cf',
    '-',
    name,
  ];
  return spawn('tar', args, { stdio: ['ignore', 'pipe', 'inherit'] }).stdout;
}
