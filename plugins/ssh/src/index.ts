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
import { SshConfig } from './ssh-config.ts';
import { Config, SSH } from './ssh-kind.ts';

/** Carries requests to the machines behind SSH, each by one instance of the pool. */
@Plugin({
  type: 'ssh',
  title: 'Carries requests to machines behind SSH',
  config: Config,
  codes: CODES,
  instances: { pool: 2 },
  placement: 'one',
})
export default class SshPlugin {
  readonly #carrying: Carrying<SshConfig>;

  constructor(
    @inject(CONFIG, Config) { nodes }: Config,
    @inject(STATE) state: State,
    @inject(TRANSPORT) transport: Transport,
    @inject(TOKEN_STORE) tokens: TokenStore<CodesOf<typeof CODES>>,
    @inject(LOGGER) log: Logger,
    @inject(INSTANCE) instance: Instance,
  ) {
    this.#carrying = new Carrying({ kind: SSH, nodes, state, transport, tokens, log, instance });
  }

  start(): Promise<void> {
    return this.#carrying.start();
  }
  stop(): Promise<void> {
    return this.#carrying.stop();
  }

  @Action('ADDSSHNODE', {
    title: 'Carry an SSH node, from now on and over any restart',
    description:
      'In the shape of the config. Ends once the node is at work, whether it answers or not. Adding what is already there changes nothing.',
    input: SshConfig,
    ...ADDS,
  })
  add(node: SshConfig, context: ActionContext): Promise<z.input<typeof ADDS.output>> {
    return this.#carrying.add(node, context);
  }

  @Action('DELSSHNODE', {
    title: 'Stop carrying an SSH node that ADDSSHNODE added',
    description: 'Its commands end INTERRUPTED; requests that it does not have yet end NODE_UNREACHABLE.',
    ...DELETES,
  })
  delete(named: z.output<typeof DELETES.input>, context: ActionContext): Promise<z.input<typeof DELETES.output>> {
    return this.#carrying.delete(named, context);
  }
}
