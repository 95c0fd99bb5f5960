import path from 'node:path';
import { type TestedPlugin, testPlugin } from '@centreond/plugin-kit';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { Client, whoOf } from '../e2e/second-implementation.ts';
import ActorPlugin from '../fixtures/actor/dist/index.js';
import type { Router } from './play.ts';
import { PEERS, type Who } from './script.ts';

const ACTOR = path.join(ROOT, 'test/fixtures/actor');

function each<T>(make: (who: Who) => T): Record<Who, T> {
  return { root: make('root'), alice: make('alice'), bob: make('bob') };
}

/** The kit's router, with a plugin of its own. */
export class KitRouter implements Router, AsyncDisposable {
  readonly name = 'the kit';
  readonly #heard = each((): string[] => []);
  readonly #send: Record<Who, (message: string) => void>;

  private constructor(readonly plugin: TestedPlugin<ActorPlugin>) {
    this.#send = each((who) => {
      return plugin.router.connect({ identity: who, roles: PEERS[who] }, (message) => this.#heard[who].push(message));
    });
  }

  static async open(): Promise<KitRouter> {
    return new KitRouter(await testPlugin(ActorPlugin));
  }

  send(who: Who, message: string): void {
    this.#send[who](message);
  }
  heard(who: Who): readonly string[] {
    return this.#heard[who];
  }
  /** Ends what a script that failed has left open. */
  async reset(): Promise<void> {
    await this.plugin.call('KILL', { type: 'actor' });
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.plugin.stop();
  }
}

/** A daemon, with a session of each peer. */
export class DaemonRouter implements Router, AsyncDisposable {
  readonly name = 'the daemon';
  readonly #daemon = new DaemonProcess({
    core: { id: 'test' },
    plugins: [{ package: ACTOR, restart: { max: 1000, within: '1s' } }],
  });
  readonly #texts = each((): string[] => []);
  #clients: Record<Who, Client> | undefined;

  static async open(): Promise<DaemonRouter> {
    const router = new DaemonRouter();
    const keys = each((who) => router.#daemon.client(who, [...PEERS[who]]));
    await router.#daemon.start();
    const { endpoint, fingerprint } = router.#daemon;
    const connect = (who: Who) => Client.connect({ endpoint, fingerprint }, whoOf(keys[who]));
    router.#clients = { root: await connect('root'), alice: await connect('alice'), bob: await connect('bob') };
    return router;
  }

  #client(who: Who): Client {
    if (!this.#clients) throw new Error('it is not open');
    return this.#clients[who];
  }
  send(who: Who, message: string): void {
    void this.#client(who).send(message);
  }
  heard(who: Who): readonly string[] {
    const { heard } = this.#client(who);
    const texts = this.#texts[who];
    // The first is the welcome.
    for (const { text } of heard.slice(texts.length + 1)) texts.push(text);
    return texts;
  }
  /** Ends what a script that failed has left open. */
  async reset(): Promise<void> {
    await this.#daemon.cli('call', 'KILL', 'type=actor');
  }
  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of Object.values(this.#clients ?? {})) client.close();
    await this.#daemon.dispose();
  }
}
