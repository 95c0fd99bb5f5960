import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { MANIFEST_FILE, type Manifest } from '@centreond/plugin-sdk/internal';
import { failure, reasonOf } from '@centreond/protocol';
import { buildManifest } from './build.ts';
import { DevRows } from './dev-rows.ts';
import { SourceWatch } from './source-watch.ts';

/** Exit code of `centreond` where no daemon serves. */
const NO_DAEMON = 3;
/** Stands in what `centreond` says if there is no config. */
const NO_CONFIG = ' CONFIG_NOT_FOUND ';

export interface DevOptions {
  /** The plugin package's folder. */
  readonly folder: string;
  /** Opens a debugger on the plugin's process. */
  readonly inspect: boolean;
  /** The daemon's config. If omitted, it is searched for from `folder`, as `centreond` does, and without one a temporary one is made. */
  readonly config: string | undefined;
  readonly say: (line: string) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Builds the package, has a daemon serve it, and builds and reloads it on each change of its sources, until `signal` aborts. The
 * daemon is the one that runs for the config; if none runs, it is started, and stopped at the end. If there is no config, one is
 * made that serves this plugin on this machine, in a temporary folder that is removed at the end. Resolves with the exit code.
 * What became of a change is said in one line, and below it the output of a build that failed. The rows of the plugin's requests
 * follow on standard output as they are written, and on standard error the log of a daemon that was started here.
 */
export async function dev(options: DevOptions): Promise<number> {
  const { folder, say, signal } = options;
  signal.throwIfAborted();
  const session = new DevSession(options, commandLineOf(folder));
  let busy = Promise.resolve();
  const failed = (error: unknown) => say(reasonOf(error));
  const changed = (files: string[]) => {
    busy = busy.then(() => session.round(files)).catch(failed);
  };
  const watch = new SourceWatch(folder, changed, failed);
  try {
    signal.addEventListener('abort', () => session.end(0), { once: true });
    await session.round([]);
    return await session.over;
  } finally {
    watch[Symbol.dispose]();
    await busy;
    await session.stop();
  }
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

interface Built {
  readonly type: string;
  readonly version: string;
}

interface NotBuilt {
  readonly failed: string;
  readonly output: string;
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
  /** The folder of the config that was made, and its file. */
  #temporary: string | undefined;
  #made: string | undefined;
  #rows: DevRows | undefined;
  readonly #began = new Date();

  constructor(
    private readonly options: DevOptions,
    private readonly centreond: string,
  ) {
    this.over = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  /** Builds, has the daemon serve what was built, and says so in one line; `changed` is empty for the first build. */
  async round(changed: readonly string[]): Promise<void> {
    const before = Date.now();
    const built = await this.#build();
    if ('failed' in built) {
      this.#report(changed, built.failed, built.output);
      return;
    }
    const { type, version } = built;
    this.#type = type;
    if (!(await this.#runs())) {
      await this.#start();
      this.#showRows(type);
      return;
    }
    this.#showRows(type);
    const { code, output } = await this.#centreond('reload', type);
    if (code !== 0) this.#report(changed, `built, but not reloaded: ${output.trim()}`);
    else this.#report(changed, `built and reloaded, ${type} ${version} serves now (${Date.now() - before} ms)`);
    if (code === 0 && this.options.inspect && !this.#daemon) await this.#openInspector();
  }

  /** From the first time on; a daemon that ran before writes its log elsewhere, so there the ends of processes are shown besides. */
  #showRows(type: string): void {
    if (this.#daemon && this.#daemon.exitCode !== null) return;
    const { folder, say } = this.options;
    this.#rows ??= new DevRows({
      command: [process.execPath, this.centreond, ...this.#config()],
      folder,
      since: this.#began,
      exits: this.#daemon === undefined,
      say,
    });
    this.#rows.start(type);
  }

  #report(changed: readonly string[], what: string, output = ''): void {
    const more = changed.length > 1 ? ` and ${changed.length - 1} more` : '';
    const head = changed[0] === undefined ? what : `${changed[0]}${more} changed: ${what}`;
    const below = output === '' ? '' : `\n${output.replaceAll(/^(?=.)/gm, '    ')}`;
    this.options.say(head + below);
  }

  /** Stops the daemon that was started here, and removes its temporary folder. */
  async stop(): Promise<void> {
    await this.#rows?.stop();
    this.#daemon?.kill('SIGTERM');
    await this.#ended;
    if (this.#temporary !== undefined) rmSync(this.#temporary, { recursive: true, force: true });
  }

  /** Runs the package's build script and sees to the manifest. */
  async #build(): Promise<Built | NotBuilt> {
    const { folder } = this.options;
    const { scripts = {}, version = '' } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
      scripts?: Record<string, string>;
      version?: string;
    };
    if (scripts.build !== undefined) {
      const { code, output } = await run('npm', ['run', '--silent', 'build'], folder);
      if (code !== 0) return { failed: `the build failed (exit code ${code})`, output: output.trim() };
      // A build that writes the manifest has done it, after whatever it compiles.
      if (scripts.build.includes('centreond-plugin')) {
        const { type } = JSON.parse(readFileSync(path.join(folder, MANIFEST_FILE), 'utf8')) as Manifest;
        return { type, version };
      }
    }
    try {
      return { type: (await buildManifest(folder)).manifest.type, version };
    } catch (error) {
      const [first = '', ...stack] = reasonOf(error).split('\n');
      return { failed: `the build failed: ${first}`, output: stack.join('\n') };
    }
  }

  /** Whether a daemon serves the plugin's type. Throws where one serves without it. */
  async #runs(): Promise<boolean> {
    if (this.#daemon) return true;
    const { code, output } = await this.#centreond('status', '--json');
    if (code === NO_DAEMON) return false;
    const status = JSON.parse(output) as { plugins?: { type: string }[]; message?: string };
    const { plugins, message = output.trim() } = status;
    if (plugins?.some(({ type }) => type === this.#type)) return true;
    if (!plugins && this.options.config === undefined && message.includes(NO_CONFIG)) {
      this.#makeConfig();
      return false;
    }
    const reason = plugins ? 'the router that runs here does not list it in its config' : message.replace(/\.$/, '');
    throw failure('INVALID_PLUGIN', { plugin: String(this.#type), reason });
  }

  /** A config that serves this plugin to this machine alone. */
  #makeConfig(): void {
    const { folder, say } = this.options;
    const temporary = mkdtempSync(path.join(os.tmpdir(), 'centreond-dev-'));
    this.#temporary = temporary;
    const config = { core: { id: 'dev', dataDir: path.join(temporary, 'var') }, plugins: [{ package: folder }] };
    const file = path.join(temporary, 'centreond.json');
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    this.#made = file;
    say(`There is no config: a temporary one serves the plugin, until dev ends. Call it with --config ${file}`);
  }

  #start(): Promise<void> {
    const { folder, inspect, say } = this.options;
    const env = { ...process.env, ...(inspect && { CENTREOND_INSPECT: this.#type }) };
    const daemon = spawn(process.execPath, [this.centreond, ...this.#config(), 'start', '--log', 'text'], {
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
    const file = this.options.config ?? this.#made;
    return file === undefined ? [] : ['--config', file];
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
