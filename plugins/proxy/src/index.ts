import 'reflect-metadata';
import { ADDS, Carrying, CODES, DELETES } from '@centreond/carrying';
import {
  Action,
  type ActionContext,
  CONFIG,
  type CodesOf,
  INSTANCE,
  type Instance,
  inject,
  LOGGER,
  type Logger,
  Plugin,
  STATE,
  type State,
  TOKEN_STORE,
  type TokenStore,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import type { z } from 'zod';
import { PushConfig } from './push-config.ts';
import { Config, PUSH } from './push-kind.ts';

/** Carries requests to the nodes whose daemons this router connects to, each by one instance of the pool. */
@Plugin({
  type: 'proxy',
  title: 'Carries requests to pushed nodes',
  config: Config,
  codes: CODES,
  instances: { pool: 2 },
  placement: 'one',
})
export default class ProxyPlugin {
  readonly #carrying: Carrying<PushConfig>;

  constructor(
    @inject(CONFIG, Config) { nodes }: Config,
    @inject(STATE) state: State,
    @inject(TRANSPORT) transport: Transport,
    @inject(TOKEN_STORE) tokens: TokenStore<CodesOf<typeof CODES>>,
    @inject(LOGGER) log: Logger,
    @inject(INSTANCE) instance: Instance,
  ) {
    this.#carrying = new Carrying({ kind: PUSH, nodes, state, transport, tokens, log, instance });
  }

  start(): Promise<void> {
    return this.#carrying.start();
  }
  stop(): Promise<void> {
    return this.#carrying.stop();
  }

  @Action('ADDNODE', {
    title: 'Carry a node, from now on and over any restart',
    description:
      'In the shape of the config. Ends once the node is at work, whether it answers or not. Adding what is already there changes nothing. A machine behind SSH is added by ADDSSHNODE, of the plugin ssh.',
    input: PushConfig,
    ...ADDS,
  })
  add(node: PushConfig, context: ActionContext): Promise<z.input<typeof ADDS.output>> {
    return this.#carrying.add(node, context);
  }

  @Action('DELNODE', {
    title: 'Stop carrying a node that ADDNODE added',
    description: 'What it runs goes on there; requests that it does not have yet end NODE_UNREACHABLE.',
    ...DELETES,
  })
  delete(named: z.output<typeof DELETES.input>, context: ActionContext): Promise<z.input<typeof DELETES.output>> {
    return this.#carrying.delete(named, context);
  }
}
