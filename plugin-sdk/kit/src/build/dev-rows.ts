import { type ChildProcess, spawn } from 'node:child_process';

/** Rows that are shown in a second: more scroll by unread, and hold up who prints them. */
const RATE = 100;
const KEPT_CHARACTERS = 2000;

export interface DevRowsOptions {
  /** The command line that prints them, up to its verb. */
  readonly command: readonly [program: string, ...args: string[]];
  readonly folder: string;
  /** Rows from then on. */
  readonly since: Date;
  /** Also prints how the plugin's processes end: for a daemon whose log is elsewhere. */
  readonly exits: boolean;
  readonly say: (line: string) => void;
}

/** Prints the rows of a plugin's requests on standard output as they are written, by the core's command line. */
export class DevRows {
  #child: ChildProcess | undefined;
  #ended: Promise<void> | undefined;
  #isOver = false;
  #since: Date;

  constructor(private readonly options: DevRowsOptions) {
    this.#since = options.since;
  }

  /** Prints those of the plugin `type`, unless it does already. */
  start(type: string): void {
    if (this.#child || this.#isOver) return;
    const { command, folder, exits, say } = this.options;
    const [program, ...args] = command;
    const from = this.#since.toISOString().slice(0, 19);
    const words = ['log', '--plugin', type, '--follow', '--since', from, '--rate', String(RATE)];
    // On the same standard output: what steers a terminal is taken out where it is one.
    const child = spawn(program, [...args, ...words, ...(exits ? ['--exits'] : [])], {
      cwd: folder,
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    this.#child = child;
    let error = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      error = (error + text).slice(-KEPT_CHARACTERS);
    });
    this.#ended = new Promise((resolve) => {
      const over = (cause: string) => {
        this.#child = undefined;
        this.#since = new Date();
        if (!this.#isOver) say(`rows are not shown until the next change: ${cause}`);
        resolve();
      };
      child.once('error', ({ message }) => over(message));
      child.once('close', (code, signal) => over(error.trim() || String(code ?? signal)));
    });
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    this.#child?.kill('SIGTERM');
    await this.#ended;
  }
}
