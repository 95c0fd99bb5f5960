import type { ActionManifest } from '@centreond/plugin-sdk/internal';
import type { CentreondError, JsonObject } from '@centreond/protocol';
import type { Discovered } from '../config/discovery.ts';
import type { Executor, Hearer, PluginStatus } from '../router/executor.ts';
import type { Peer } from '../router/peer.ts';
import type { StandIn } from '../router/placement.ts';
import type { Answer, Asked, OpenRequest } from '../router/request.ts';

/** A plugin in the registry while another router runs it: its stand-in, and what becomes of requests when the turn comes here. */
export class Standby implements Executor {
  readonly standsBy = true;
  readonly ask?: (action: ActionManifest, data: JsonObject, peer: Peer, asked: Asked) => Answer | Promise<Answer>;
  /** What runs the plugin, once it is this router's turn, or stands by in place of this one: the last is given what still comes. */
  readonly #successors: Executor[] = [];

  constructor(
    private readonly found: Discovered,
    private readonly standIn: StandIn,
  ) {
    if (standIn.ask) this.ask = standIn.ask.bind(standIn);
  }

  /**
   * `successor` is given what has not been handed over, and what still comes here: requests that were admitted a moment ago, and those
   * of which it turns out later that no other router has them. It may be called again where that one ends.
   */
  giveWay(successor: Executor): void {
    this.#successors.push(successor);
    for (const open of this.standIn.takeBack()) if (open.state === 'waiting') successor.submit(open);
  }

  get #successor(): Executor | undefined {
    return this.#successors.at(-1);
  }

  get #isElsewhere(): boolean {
    return this.#successor === undefined || this.standIn.elsewhere === true;
  }

  /** Until another router has none of its requests, and may have none: those of this router are then as those of its successor. */
  get elsewhere(): true | undefined {
    return this.#isElsewhere ? this.standIn.elsewhere : this.#successor?.elsewhere;
  }

  get abortGraceMs(): number | undefined {
    return this.#isElsewhere ? this.standIn.abortGraceMs : this.#successor?.abortGraceMs;
  }

  admit(open: OpenRequest, data: JsonObject, peer: Peer) {
    return (this.#successor ?? this.standIn).admit(open, data, peer);
  }

  submit(open: OpenRequest): void {
    (this.#successor ?? this.standIn).submit(open);
  }

  abort(open: OpenRequest, reason: CentreondError): void {
    for (const one of [this.standIn, ...this.#successors]) one.abort(open, reason);
  }

  withdraw(open: OpenRequest): void {
    for (const one of [this.standIn, ...this.#successors]) one.withdraw(open);
  }

  get allowsCallers(): boolean {
    return this.found.entry.allowCallers;
  }
  hearers(): readonly Hearer[] {
    return this.standIn.hearers();
  }
  ids(): string[] {
    return this.standIn.ids();
  }
  kill(id: string, progress: (step: string) => void): Promise<void> {
    return this.standIn.kill(id, progress);
  }

  /** Why it does not run here, as the end of a sentence. */
  get reason(): string {
    const router = this.standIn.runsOn();
    return router === undefined
      ? 'it waits for its turn, and which router runs it is not known'
      : `it runs on the router ${router}`;
  }

  status(): PluginStatus {
    const { package: name, version, manifest } = this.found;
    return {
      type: manifest.type,
      package: name,
      version,
      state: 'standby',
      reason: this.reason,
      health: null,
      metrics: [],
      waiting: 0,
      instances: [],
    };
  }
}
