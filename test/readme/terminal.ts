import { type ChildProcess, spawn } from 'node:child_process';

/** One terminal: what a block prints, with the folder and the jobs of those before it. A command that fails ends it. */
export class Terminal {
  readonly #shell: ChildProcess;
  /** All that it printed, that of its jobs too. */
  transcript = '';
  #output = '';
  #ended = false;

  constructor(folder: string, env: NodeJS.ProcessEnv) {
    const shell = spawn('bash', ['--norc'], { cwd: folder, env, stdio: 'pipe', detached: true });
    this.#shell = shell;
    for (const stream of [shell.stdout, shell.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        this.transcript += text;
      });
    }
    // Not at `exit`: what it said last may still be on its way.
    shell.once('close', () => (this.#ended = true));
    // Jobs have groups of their own, as in a terminal that a person types into.
    shell.stdin.write('set -meuo pipefail\n');
  }

  async type(block: string): Promise<string> {
    this.#output = '';
    this.#shell.stdin?.write(`${block}\nprintf '\\nblock-%s\\n' over\n`);
    while (!this.#output.includes('\nblock-over\n')) {
      if (this.#ended) throw new Error(`${block}\nfailed:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return this.#output.slice(0, this.#output.indexOf('\nblock-over\n'));
  }

  close(): void {
    if (!this.#ended && this.#shell.pid) process.kill(-this.#shell.pid, 'SIGKILL');
  }
}
