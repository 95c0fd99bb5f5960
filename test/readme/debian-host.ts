import { startAsTheUnit, type UnderTheUnit } from './as-the-unit.ts';
import type { Machine } from './machine.ts';

/** A Debian on which somebody types as root. What systemd would do there is done by hand, since there is none. */
export class DebianHost {
  readonly #running: UnderTheUnit[] = [];

  constructor(readonly machine: Machine) {}

  /** Types lines in /root, and resolves with all that they printed. */
  async type(text: string): Promise<string> {
    let said = '';
    for (const line of text.trimEnd().split('\n')) {
      const [, verb] = /^systemctl (\w+) centreond$/.exec(line) ?? [];
      if (verb !== undefined) await this.#systemctl(verb);
      else said += await this.#run(line);
    }
    return said;
  }

  async #run(line: string): Promise<string> {
    const installs = line.startsWith('apt install ');
    // The scripts of the package stop and start the daemon where systemd runs.
    if (installs) await this.#stop();
    const { code, stdout, stderr } = await this.machine.run(`cd /root && ${line}`);
    // `check` ends with 1 for what is wrong, which the next line is about.
    if (code !== 0 && line !== 'centreond check') throw new Error(`${line}: exit ${code}\n${stdout}${stderr}`);
    if (installs) await this.#start();
    return stdout + stderr;
  }

  async #systemctl(verb: string): Promise<void> {
    switch (verb) {
      case 'start':
        return this.#start();
      case 'stop':
        return this.#stop();
      case 'restart':
        await this.#stop();
        return this.#start();
      case 'reload':
        await this.machine.does('kill -HUP "$(cat /var/lib/centreond/run/daemon.pid)"');
        return;
      default:
        throw new Error(`nobody here knows systemctl ${verb}`);
    }
  }

  async #start(): Promise<void> {
    this.#running.push(await startAsTheUnit(this.machine));
  }

  async #stop(): Promise<void> {
    await this.#running.pop()?.stop();
  }

  async close(): Promise<void> {
    await this.#running.pop()?.close();
    await this.machine.close();
  }
}
