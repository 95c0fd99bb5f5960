import os from 'node:os';
import { Action, Plugin } from '@centreond/plugin-sdk';
import type { TokenStore } from '../store/token-store.ts';
import { EVERYBODY, NOTHING, READ } from './declaring.ts';
import type { Registry } from './registry.ts';
import { wrongMoveCount } from './request.ts';
import type { Requests } from './requests.ts';
import type { Telemetry } from './telemetry.ts';

export interface StatusOptions {
  readonly id: string;
  readonly version: string;
  /** What this router is chosen by where it is a node. */
  readonly labels: Readonly<Record<string, string>>;
  /** The router key's. */
  readonly thumbprint: string;
  readonly store: Pick<TokenStore, 'epoch'>;
  readonly registry: Registry;
  readonly requests: Requests;
  readonly telemetry: Telemetry;
  readonly clock: { now(): number };
  readonly cluster: { readonly name: string | undefined; summary(): object | null };
  /** The counters of the other rooms, as INFORMATION shows them. */
  counters(): object;
}

/** What this router is, and how it does. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class StatusActions {
  readonly #startedAt: number;

  constructor(private readonly options: StatusOptions) {
    this.#startedAt = options.clock.now();
  }

  @Action('PING', { ...READ, title: 'Ask whether the router answers', input: NOTHING, access: EVERYBODY })
  ping() {
    const { id, version } = this.options;
    return { id, hostname: os.hostname(), version };
  }

  @Action('GETTHUMBPRINT', {
    ...READ,
    title: "Ask for the fingerprint of the router's key",
    input: NOTHING,
    access: EVERYBODY,
  })
  thumbprint() {
    return { thumbprint: this.options.thumbprint };
  }

  @Action('INFORMATION', { ...READ, title: 'Ask what runs here, with figures', input: NOTHING, access: 'client' })
  information() {
    const { id, version, labels, clock, registry, telemetry, requests, store, cluster, counters } = this.options;
    const plugins = registry.plugins.map(({ manifest, executor }) => ({
      ...executor.status(),
      codes: manifest.codes,
      codeTitles: manifest.codeTitles ?? {},
      actions: manifest.actions.map(({ name, reply }) => ({ name, reply, ...telemetry.of(name) })),
    }));
    const { received, accepted, refused, signatures, droppedRows } = telemetry;
    const { count: open, bytes: openBytes } = requests.used();
    const wrongMoves = wrongMoveCount();
    return {
      ...{ id, version, labels, epoch: store.epoch, cluster: cluster.summary() },
      time: clock.now(),
      uptimeSeconds: Math.floor((clock.now() - this.#startedAt) / 1000),
      plugins,
      actions: registry.actions,
      counters: { received, accepted, refused, signatures, droppedRows, open, openBytes, wrongMoves, ...counters() },
    };
  }
}
