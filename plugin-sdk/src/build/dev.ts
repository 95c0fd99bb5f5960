import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, type FSWatcher, readFileSync, watch } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { failure, reasonOf } from '../errors.ts';
import { MANIFEST_FILE, type Manifest } from '../manifest.ts';
import { buildManifest } from './build.ts';

/** Changes that come together are one: an editor writes a file in several steps. */
const SETTLE_MS = 150;
/** Exit code of `centreond` where no daemon serves. */
const NO_DAEMON = 3;
const IGNORED = /(^|\/)(node_modules|dist|var|coverage|\.git)(\/|$)|\.tgz$|plugin\.manifest\.json/;

export interface DevOptions {
  /** The plugin package's folder. */
  readonly folder: string;
  /** Opens a debugger on the plugin's process. */
  readonly inspect: boolean;
  /** The daemon's config; searched for from `folder`, as `centreond` does, when left out. */
  readonly config: string | undefined;
  readonly say: (line: string) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Builds the package, has a daemon serve it, and builds and reloads it on each change of its sources, until `signal` aborts. The
 * daemon is the one that runs for the config; where none does, it is started, and stopped at the end. Resolves with the exit
 * code. A build or a reload that fails is said, and the version of before keeps serving.
 */
export async function dev(options: DevOptions): Promise<number> {
  const { folder, say, signal } = options;
  signal.throwIfAborted();
  const centreond = commandLineOf(folder);
  const session = new DevSession(options, centreond);
  let pending: NodeJS.Timeout | undefined;
  let busy = Promise.resolve();
  const change = (file: string) => {
    clearTimeout(pending);
    pending = setTimeout(() => {
      busy = busy.then(() => session.round(file)).catch((error: unknown) => say(reasonOf(error)));
    }, SETTLE_MS);
  };
  const watchers = watched(folder, change);
  try {
    signal.addEventListener('abort', () => session.end(0), { once: true });
    await session.round(undefined);
    return await session.over;
  } finally {
    clearTimeout(pending);
    for (const watcher of watchers) watcher.close();
    await busy;
    await session.stop();
  }
}

function watched(folder: string, change: (file: string) => void): FSWatcher[] {
  const source = path.join(folder, 'src');
  const root = existsSync(source) ? source : folder;
  const take = (_: string, file: string | null) => file !== null && !IGNORED.test(file) && change(file);
  const watchers = [watch(root, { recursive: true }, take)];
  if (root === source) {
    watchers.push(
      watch(folder, (event, file) =>
        file === 'package.json' || file === 'tsconfig.json' ? take(event, file) : undefined,
      ),
    );
  }
  return watchers;
}

/** The file of the command line `centreond`: of @centreond/core, as `folder` finds it. Throws INVALID_PLUGIN. */
function commandLineOf(folder: string): string {
  const require = createRequire(pathToFileURL(path.join(folder, 'package.json')));
  try {
    const file = require.resolve('@centreond/core/package.json');
    // Its `bin` is a shell script, which starts this.
    return path.join(path.dirname(file), 'bin/centreond.js');
  } catch {
    const reason = 'there is no router to run it: install one here with `npm install --save-dev @centreond/core`';
    throw failure('INVALID_PLUGIN', { plugin: folder, reason });
  }
}

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

class DevSession {
  /** Resolves with the exit code once it is to end. */
  readonly over: Promise<number>;
  end: (exitCode: number) => void = () => {};
  #daemon: ChildProcess | undefined;
  #ended: Promise<number> | undefined;
  #type: string | undefined;
  #inspected = 0;

  constructor(
    private readonly options: DevOptions,
    private readonly centreond: string,
  ) {
    this.over = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  /** Builds, then has the daemon serve what was built. */
  async round(changed: string | undefined): Promise<void> {
    const { say } = this.options;
    const before = Date.now();
    if (changed !== undefined) say(`${changed} changed`);
    const manifest = await this.#build();
    if (!manifest) return;
    this.#type = manifest.type;
    if (!(await this.#runs())) {
      await this.#start();
      return;
    }
    const { code, output } = await this.#centreond('reload', manifest.type);
    if (code !== 0) say(`${output.trim()}\nThe version of before keeps serving.`);
    else say(`${output.trim()} (${Date.now() - before} ms)`);
    if (code === 0 && this.options.inspect && !this.#daemon) await this.#openInspector();
  }

  /** Stops the daemon that was started here. */
  async stop(): Promise<void> {
    this.#daemon?.kill('SIGTERM');
    await this.#ended;
  }

  /** Runs the package's build script, and sees to the manifest; undefined where that fails, which is said. */
  async #build(): Promise<Manifest | undefined> {
    const { folder, say } = this.options;
    const { scripts = {} } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
      scripts?: Record<string, string>;
    };
    if (scripts.build !== undefined) {
      const { code, output } = await run('npm', ['run', '--silent', 'build'], folder);
      if (code !== 0) {
        say(`${output.trim()}\nThe build failed (exit code ${code}); it is tried again on the next change.`);
        return undefined;
      }
      // A build that writes the manifest has done it, after whatever it compiles.
      if (scripts.build.includes('centreond-plugin')) {
        return JSON.parse(readFileSync(path.join(folder, MANIFEST_FILE), 'utf8')) as Manifest;
      }
    }
    try {
      return (await buildManifest(folder)).manifest;
    } catch (error) {
      say(reasonOf(error));
      return undefined;
    }
  }

  /** Whether a daemon serves the plugin's type. Throws where one serves without it. */
  async #runs(): Promise<boolean> {
    if (this.#daemon) return true;
    const { code, output } = await this.#centreond('status', '--json');
    if (code === NO_DAEMON) return false;
    const { plugins } = JSON.parse(output) as { plugins?: { type: string }[] };
    if (plugins?.some(({ type }) => type === this.#type)) return true;
    const reason = plugins ? 'the router that runs here does not list it in its config' : output.trim();
    throw failure('INVALID_PLUGIN', { plugin: String(this.#type), reason });
  }

  #start(): Promise<void> {
    const { folder, inspect, say } = this.options;
    const env = { ...process.env, ...(inspect && { CENTREOND_INSPECT: this.#type }) };
    const daemon = spawn(process.execPath, [this.centreond, ...this.#config(), 'start'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#daemon = daemon;
    this.#ended = new Promise((resolve) => daemon.once('exit', (code) => resolve(code ?? 1)));
    return new Promise((resolve) => {
      daemon.stdout.setEncoding('utf8').on('data', (text: string) => {
        say(text.trimEnd());
        resolve(); // it greets once it is ready
      });
      void this.#ended?.then((code) => {
        this.end(code);
        resolve();
      });
    });
  }

  /** Node.js opens its inspector on SIGUSR1: for a daemon that was started without --inspect. */
  async #openInspector(): Promise<void> {
    const { output } = await this.#centreond('status', '--json');
    const { plugins } = JSON.parse(output) as { plugins: { type: string; instances: { pid: number | null }[] }[] };
    const pid = plugins.find(({ type }) => type === this.#type)?.instances[0]?.pid;
    if (!pid || pid === this.#inspected) return;
    this.#inspected = pid;
    process.kill(pid, 'SIGUSR1');
    this.options.say(`process ${pid} opens its debugger; the router's log has the address`);
  }

  #config(): string[] {
    return this.options.config === undefined ? [] : ['--config', this.options.config];
  }

  #centreond(...args: string[]): Promise<Ran> {
    return run(process.execPath, [this.centreond, ...this.#config(), ...args], this.options.folder);
  }
}

function run(program: string, args: readonly string[], cwd: string): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (text: string) => {
      output += text;
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.once('error', (error) => resolve({ code: null, output: `${program} cannot be run: ${error.message}` }));
    child.once('close', (code) => resolve({ code, output }));
  });
}
