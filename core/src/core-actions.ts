import os from 'node:os';
import {
  Action,
  type ActionContext,
  type CentreondError,
  failure,
  type JsonObject,
  manifestOf,
  Plugin,
} from '@centreond/plugin-sdk';
import { z } from 'zod';
import { OperatorActions, type OperatorDependencies } from './host/plugin-actions.ts';
import { EVERYBODY, TOKEN } from './router/history-actions.ts';
import type { Peer } from './router/peer.ts';
import type { Telemetry } from './router/telemetry.ts';

const Nothing = z.strictObject({});
const Anything = z.unknown();
const Cancel = z.strictObject({ token: TOKEN });
const Cancelled = z.strictObject({ token: z.string(), cancelled: z.boolean() });

/** What the core's own actions work on. */
export interface CoreServices extends OperatorDependencies {
  readonly version: string;
  readonly startedAt: number;
  readonly telemetry: Telemetry;
  counters(): object;
}

/** The core's own actions, declared like everybody's. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class CoreActions extends OperatorActions {
  constructor(readonly services: CoreServices) {
    super();
  }

  @Action('PING', {
    title: 'Ask whether the router answers',
    input: Nothing,
    output: Anything,
    access: EVERYBODY,
    effects: 'read',
    idempotent: true,
    reply: 'ack',
  })
  ping() {
    const { id, version } = this.services;
    return { id, hostname: os.hostname(), version };
  }

  @Action('GETTHUMBPRINT', {
    title: "Ask for the fingerprint of the router's key",
    input: Nothing,
    output: Anything,
    access: EVERYBODY,
    effects: 'read',
    idempotent: true,
    reply: 'ack',
  })
  thumbprint() {
    return { thumbprint: this.services.thumbprint };
  }

  @Action('INFORMATION', {
    title: 'Ask what runs here, with figures',
    input: Nothing,
    output: Anything,
    access: 'client',
    effects: 'read',
    idempotent: true,
    reply: 'ack',
  })
  information() {
    const { id, version, startedAt, clock, registry, telemetry, requests, store } = this.services;
    const plugins = registry.plugins.map(({ manifest, executor }) => ({
      ...executor.status(),
      actions: manifest.actions.map(({ name }) => ({ name, ...telemetry.of(name) })),
    }));
    const { received, accepted, refused, signatures, droppedRows } = telemetry;
    return {
      id,
      version,
      epoch: store.epoch,
      time: clock.now(),
      uptimeSeconds: Math.floor((clock.now() - startedAt) / 1000),
      plugins,
      actions: registry.actions,
      counters: {
        received,
        accepted,
        refused,
        signatures,
        droppedRows,
        open: requests.used().count,
        ...this.services.counters(),
      },
    };
  }

  @Action('CANCEL', {
    title: 'End a request of one’s own',
    input: Cancel,
    output: Cancelled,
    access: EVERYBODY,
    effects: 'write',
    idempotent: true,
    runs: 'here',
  })
  cancel({ token }: z.output<typeof Cancel>, { identity }: ActionContext): z.input<typeof Cancelled> {
    const { requests } = this.services;
    const open = requests.get(token);
    if (!open || open.state === 'ended') return { token, cancelled: false };
    requests.abort(open, failure('CANCELLED', { token, by: identity }));
    return { token, cancelled: true };
  }

  /** Asked before a request of the core's own is recorded; `asking` is who will own it. */
  admit(
    action: string,
    data: JsonObject,
    peer: Peer,
    asking: string,
  ): Promise<CentreondError | undefined> | CentreondError | undefined {
    if (action === 'CANCEL') return this.#admitCancel(String(data.token), peer, asking);
    if (action !== 'KILL') return undefined;
    const { type, id = '' } = data as { type: string; id?: string };
    return this.killRefusal(type, id);
  }

  async #admitCancel(token: string, peer: Peer, asking: string): Promise<CentreondError | undefined> {
    const owner = (this.services.requests.get(token) ?? (await this.services.store.find(token)))?.owner;
    if (owner === undefined) {
      return failure('INVALID_DATA', { action: 'CANCEL', reason: `there is no request with the token ${token}` });
    }
    if (owner === asking || peer.roles.has('admin')) return undefined;
    const remedy = 'It belongs to another identity.';
    return failure('FORBIDDEN', { identity: asking, what: `cancel ${token}`, remedy });
  }
}

/** What the core declares: it needs no daemon. */
export const coreManifest = manifestOf(CoreActions);
