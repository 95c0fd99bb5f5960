import type { Chronicle } from '../router/chronicle.ts';
import type { Routes } from './routes.ts';

/** Tells when a node comes up, and when it is up no more. A node behind another is not told of: the other one is. */
export class NodeWatch {
  readonly #routes: Routes;
  readonly #chronicle: Pick<Chronicle, 'tell'>;
  /** The nodes that were told to be up, or down. */
  readonly #told = new Map<string, 'up' | 'down'>();

  constructor(routes: Routes, chronicle: Pick<Chronicle, 'tell'>) {
    this.#routes = routes;
    this.#chronicle = chronicle;
    routes.onChange((targets) => {
      for (const target of targets) this.#look(target);
    });
  }

  #look(node: string): void {
    const now = this.#routes.direct(node);
    const told = this.#told.get(node);
    if (now?.state === 'up') {
      if (told === 'up') return;
      const { kind = 'push', address } = now;
      this.#told.set(node, 'up');
      this.#chronicle.tell('NODE_UP', { node, kind, ...(address !== undefined && { address }) });
    } else if (told === 'up' || (told === undefined && now?.state === 'unreachable')) {
      const { state = 'unreachable', reason = 'nobody carries it any more' } = now ?? {};
      this.#told.set(node, 'down');
      this.#chronicle.tell('NODE_DOWN', { node, state, reason: reason.replace(/\.$/, '') });
    }
    if (!now) this.#told.delete(node);
  }
}
