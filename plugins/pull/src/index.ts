import 'reflect-metadata';
import { CONFIG, inject, LOGGER, type Logger, Plugin, TRANSPORT, type Transport } from '@centreond/plugin-sdk';
import type { Link } from '@centreond/plugin-sdk/nodes';
import { z } from 'zod';
import { Registering } from './registering.ts';

const Router = z.strictObject({
  address: z
    .string()
    .regex(/^tcp:\/\/(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}$/, 'must be tcp://host:port')
    .describe("the router's external door, tcp://host:port"),
  fingerprint: z
    .string()
    .regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/, 'must be the 43 characters that `centreond keys show` prints there')
    .describe("the router's key, as `centreond keys show` prints it there"),
});

const Config = z.strictObject({
  router: Router.describe('the router that this machine is a node of'),
  others: z
    .array(Router)
    .max(15)
    .optional()
    .describe(
      'more routers of the same cluster; the link leads to one at a time, and to the next within 10 s of the loss of that one',
    ),
  name: z.string().max(255).optional().describe('a label for this node'),
});

/** The link of a node to the router above it, or to one of a cluster: it connects, registers, and what comes down is this router's to answer. */
@Plugin({ type: 'pull', title: 'Makes this machine a node of another router', config: Config, isolation: 'core' })
export default class PullPlugin {
  #link: Link | undefined;
  #registering: Registering | undefined;

  constructor(
    @inject(CONFIG, Config) private readonly config: z.output<typeof Config>,
    @inject(TRANSPORT) private readonly transport: Transport,
    @inject(LOGGER) private readonly log: Logger,
  ) {}

  start(): void {
    const { router, others = [], name } = this.config;
    const link = this.transport.link({
      ...router,
      others,
      serve: true,
      onState: (state, reason, address) => {
        this.#registering?.linkIs(state);
        if (state === 'up') this.log.info(`the link to ${address} is up`);
        else this.log.warn(`the link to ${address} is ${state}: ${reason}`);
      },
    });
    this.#link = link;
    this.#registering = new Registering({ link, name, transport: this.transport, log: this.log });
  }

  /** Takes leave of the router, which then knows at once. */
  async stop(): Promise<void> {
    await this.#registering?.stop();
    await this.#link?.close();
  }
}
