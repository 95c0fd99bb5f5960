import { Bus, type BusOptions, type Hearing } from '../../core/dist/cluster/bus.js';

let processes = 0;

/** What a router hears, what it answers, and what it logs. */
export class Router implements Hearing {
  readonly bus: Bus;
  readonly heard: string[] = [];
  readonly changes: (string | undefined)[] = [];
  readonly warnings: { readonly message: string; readonly fields: object }[] = [];
  answers: (from: string, what: string, text: string) => Promise<string> = async (_from, _what, text) => text;

  constructor(id: string, servers: string, change: Partial<BusOptions> = {}) {
    const quiet = () => {};
    const warn = (first: string | object, message = '') =>
      void this.warnings.push(typeof first === 'string' ? { message: first, fields: {} } : { message, fields: first });
    this.bus = new Bus({
      ...{ cluster: 'prod', id, process: ++processes, secret: 'a secret of the routers', now: Date.now },
      place: { servers, credentials: undefined },
      log: { debug: quiet, info: quiet, warn, error: quiet } as never,
      ...change,
    });
  }

  answer(from: string, what: string, text: string): Promise<string> {
    return this.answers(from, what, text);
  }

  told(from: string, what: string, text: string): void {
    this.heard.push(`${from} ${what} ${text}`);
  }

  changed(away: string | undefined): void {
    this.changes.push(away);
  }
}

/** Routers that are closed after each test. */
export class Routers {
  readonly #all: Router[] = [];

  made(...of: ConstructorParameters<typeof Router>): Router {
    const router = new Router(...of);
    this.#all.push(router);
    return router;
  }

  async opened(...of: ConstructorParameters<typeof Router>): Promise<Router> {
    const router = this.made(...of);
    await router.bus.open(router);
    return router;
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.splice(0).map(({ bus }) => bus.close()));
  }
}
