import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import {
  CLOCK,
  type Clock,
  CONFIG,
  HEALTH,
  type Health,
  inject,
  LOGGER,
  type Logger,
  Plugin,
  reasonOf,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import type { FastifyInstance, FastifyListenOptions } from 'fastify';
import type { Spans } from './admission.ts';
import { addressOf, Config } from './config.ts';
import { makeServer } from './server.ts';
import type { Traces } from './traces.ts';

const SECRET_LENGTH = 16;
const CLOSE_MS = 1000;

type ListenOptions = FastifyListenOptions & { readonly reusePort: boolean };

/** Serves the router's actions, its history and its fleet over HTTP, with a dashboard. */
@Plugin({ type: 'http', title: 'Serves HTTP: an API, metrics and a dashboard', config: Config })
export default class HttpPlugin {
  #server: FastifyInstance | undefined;
  #traces: Traces | undefined;
  readonly #stopping = new AbortController();

  constructor(
    @inject(CONFIG, Config) private readonly config: Config,
    @inject(TRANSPORT) private readonly transport: Transport,
    @inject(CLOCK) private readonly clock: Clock,
    @inject(HEALTH) private readonly health: Health,
    @inject(LOGGER) private readonly log: Logger,
  ) {}

  /** Listens. Rejects if the address cannot be bound, or a file of `tls` not be read. */
  async start(): Promise<void> {
    const { config, transport, clock, log } = this;
    const version = ownVersion();
    const server = await makeServer({
      config,
      version,
      transport,
      clock,
      log,
      traces: await this.#spans(version),
      stopping: this.#stopping.signal,
    });
    this.#server = server;
    // A reload starts the next version beside this one, on the same port.
    const url = await server.listen({ ...addressOf(config.listen), reusePort: true } as ListenOptions);
    const weak = config.tokens.filter(({ secret }) => secret.length < SECRET_LENGTH).map(({ name }) => name);
    const what = config.tokens.length === 0 ? 'no token is configured: only /healthz and /readyz answer' : 'ready';
    log.info(`listens on ${url}, ${what}`);
    if (weak.length === 0) this.health.report('ok');
    else {
      const why = `The secret of ${weak.join(', ')} has fewer than ${SECRET_LENGTH} characters and can be guessed. Make a longer one.`;
      this.health.report('degraded', why);
    }
  }

  /** Where it listens. */
  get address(): string | undefined {
    const address = this.#server?.server.address();
    return typeof address === 'object' && address !== null ? `${address.address}:${address.port}` : undefined;
  }

  async #spans(version: string): Promise<Spans | undefined> {
    const { traces: configured } = this.config;
    if (!configured) return undefined;
    // Loaded where it is needed: it takes more memory than the server.
    const { endSpan, Traces: Opened, traceparentOf } = await import('./traces.ts');
    const traces = new Opened(configured.endpoint, { name: 'centreond', version });
    this.#traces = traces;
    return { begin: (...of) => traces.begin(...of), end: endSpan, traceparentOf };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const server = this.#server;
    // What is answered or read too slowly does not keep it.
    const limit = setTimeout(() => server?.server.closeAllConnections(), CLOSE_MS);
    await server?.close();
    clearTimeout(limit);
    try {
      await this.#traces?.stop();
    } catch (error) {
      this.log.warn({ err: error }, `the last traces were not sent: ${reasonOf(error)}`);
    }
  }
}

/** The version of this package. */
function ownVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}
