import type { PluginProcess } from './plugin-process.ts';

/**
 * The process that plugins with `process: shared` share. There is one at a time: it starts with the first plugin that takes a seat, and
 * once it has ended, the next plugin to start opens another. A reload moves its plugins to a successor.
 */
export class SharedProcess {
  readonly #members = new Set<string>();
  /** Plugins that were not reloaded when the others were, and start in the successor from then on. */
  readonly #moved = new Map<string, SharedProcess>();
  #current: PluginProcess | undefined;

  constructor(private readonly open: () => PluginProcess) {}

  /** The process in which the plugin `type` is to start now. Throws what the start of a process throws. */
  processFor(type: string): PluginProcess {
    const moved = this.#moved.get(type);
    if (moved) return moved.processFor(type);
    if (!this.#current?.takesSeats) this.#current = this.open();
    return this.#current;
  }

  /** Whether plugins share it. */
  get isUsed(): boolean {
    return this.#members.size > 0;
  }

  add(type: string): void {
    this.#members.add(type);
  }

  remove(type: string): void {
    this.#members.delete(type);
  }

  /** The plugin `type` starts in the process of `successor` from now on. */
  moveTo(successor: SharedProcess, type: string): void {
    this.#moved.get(type)?.moveTo(successor, type);
    this.#moved.set(type, successor);
    this.#members.delete(type);
    successor.add(type);
  }

  /** The other plugins that share the process with the plugin `type`. */
  othersThan(type: string): string[] {
    return this.#moved.get(type)?.othersThan(type) ?? [...this.#members].filter((one) => one !== type);
  }
}
