import os from 'node:os';
import { Action, failure, type Json } from '@centreond/plugin-sdk';
import { CLIENT_LABELS, type KeyPair, signPss } from '@centreond/plugin-sdk/channel';
import { z } from 'zod';
import type { Carriers } from '../fleet/carriers.ts';
import type { Logs } from '../fleet/logs.ts';
import type { Log } from '../log.ts';
import type { Events } from '../router/events.ts';
import type { Telemetry } from '../router/telemetry.ts';
import type { AskContext } from './core-plugin.ts';
import type { PluginState } from './state.ts';

export const NODE_ID = z.string().regex(/^(?!\.\.?$)[A-Za-z0-9._-]{1,64}$/);
const NODE_STATE = z.enum(['up', 'connecting', 'unreachable']);
const SCORE = z.number().min(0).max(1e9);
const SECONDS = z.number().min(0);
export const ActionNames = z.array(z.string().max(64)).max(10_000);
const Subnode = z.strictObject({
  id: NODE_ID,
  score: SCORE.exactOptional(),
  actions: ActionNames.exactOptional(),
  state: NODE_STATE.exactOptional(),
});
/** A node behind another: its id, or with what is known of it. */
export const SubnodeEntry = z.union([NODE_ID, Subnode]);
const Node = z.strictObject({
  id: NODE_ID,
  name: z.string().max(255).exactOptional(),
  actions: ActionNames.exactOptional(),
  subnodes: z.array(SubnodeEntry).max(10_000).exactOptional(),
  state: NODE_STATE,
  kind: z.enum(['push', 'pull', 'ssh']).exactOptional(),
  score: SCORE.exactOptional(),
  version: z.string().max(64).exactOptional(),
  lastPing: SECONDS.exactOptional(),
  lastPong: SECONDS.exactOptional(),
  roundTripMs: z.number().min(0).exactOptional(),
  clockSkewSeconds: z.number().exactOptional(),
});
const Announcement = z.strictObject({ nodes: z.array(Node).max(10_000), gone: z.array(NODE_ID).max(10_000) });
const Nothing = z.strictObject({});
const Signing = z.strictObject({ label: z.enum(CLIENT_LABELS), hash: z.string().length(43) });
const Emission = z.strictObject({ event: z.string(), data: z.looseObject({}) });
const Key = z.strictObject({ key: z.string() });
const Entry = z.strictObject({ key: z.string(), value: z.unknown() });
const Listing = z.strictObject({ prefix: z.string(), after: z.string() });
const Anything = z.unknown();

/** What the actions below work on. */
export interface ServiceDependencies {
  readonly state: PluginState;
  readonly id: string;
  readonly version: string;
  readonly keys: KeyPair;
  readonly telemetry: Telemetry;
  readonly log: Log;
  readonly events: Events;
  readonly carriers: Carriers;
  readonly logs: Logs;
}

/** The type of the plugin that asks: only instances have the role that these actions are for. */
function typeOf({ caller }: AskContext): string {
  return caller.identity.slice(1);
}

/** What a plugin's injected services ask of the core: for instances only, answered in the ACK. */
export abstract class ServiceActions {
  abstract readonly services: ServiceDependencies;

  @Action('ANNOUNCE', {
    title: 'Say which nodes the asking instance carries: those that are new or changed, and those no more',
    input: Announcement,
    output: Anything,
    access: 'internal',
    effects: 'write',
    idempotent: true,
    reply: 'ack',
  })
  announce({ nodes, gone }: z.output<typeof Announcement>, { caller }: AskContext) {
    this.services.carriers.announce(caller, nodes, gone);
    // Whoever came last carries them: a version that was replaced brings no more of their logs.
    const { logs } = this.services;
    for (const { id, state } of nodes) logs.carriedBy(id, caller, state === 'up');
  }

  @Action('ROUTERKEY', {
    title: 'Ask who this router is on its links',
    input: Nothing,
    output: Anything,
    access: 'internal',
    effects: 'read',
    idempotent: true,
    reply: 'ack',
  })
  routerKey() {
    const { id, version, keys } = this.services;
    return { id, hostname: os.hostname(), version, jwk: keys.jwk, thumbprint: keys.thumbprint };
  }

  @Action('SIGN', {
    title: "Sign a client's part of a handshake with the router's key",
    input: Signing,
    output: Anything,
    access: 'internal',
    effects: 'write',
    reply: 'ack',
  })
  async sign({ label, hash }: z.output<typeof Signing>, context: AskContext) {
    const { telemetry, log, keys } = this.services;
    const h = Buffer.from(hash, 'base64url');
    if (h.length !== 32 || h.toString('base64url') !== hash) {
      throw failure('INVALID_DATA', { action: 'SIGN', reason: 'its hash is not canonical base64url of 32 bytes' });
    }
    telemetry.signatures++;
    log.debug(
      { plugin: typeOf(context), label },
      `the router's key signs a ${label} for the plugin ${typeOf(context)}`,
    );
    return { signature: (await signPss(keys.privateKey, label, h)).toString('base64url') };
  }

  @Action('EMIT', {
    title: "Emit one of the asking plugin's declared events",
    input: Emission,
    output: Anything,
    access: 'internal',
    effects: 'write',
    reply: 'ack',
  })
  emit({ event, data }: z.output<typeof Emission>, context: AskContext) {
    this.services.events.emitFrom(typeOf(context), event, data);
  }

  @Action('GETSTATE', {
    title: "Read an entry of the asking plugin's state",
    input: Key,
    output: Anything,
    access: 'internal',
    effects: 'read',
    idempotent: true,
    reply: 'ack',
  })
  getState({ key }: z.output<typeof Key>, context: AskContext) {
    return this.services.state.get(typeOf(context), key);
  }

  @Action('SETSTATE', {
    title: "Keep an entry in the asking plugin's state",
    input: Entry,
    output: Anything,
    access: 'internal',
    effects: 'write',
    idempotent: true,
    reply: 'ack',
  })
  async setState({ key, value }: z.output<typeof Entry>, context: AskContext) {
    // The ladder has parsed it from JSON.
    await this.services.state.set(typeOf(context), key, value as Json | undefined);
  }

  @Action('DELETESTATE', {
    title: "Forget an entry of the asking plugin's state",
    input: Key,
    output: Anything,
    access: 'internal',
    effects: 'write',
    idempotent: true,
    reply: 'ack',
  })
  async deleteState({ key }: z.output<typeof Key>, context: AskContext) {
    await this.services.state.delete(typeOf(context), key);
  }

  @Action('LISTSTATE', {
    title: "List entries of the asking plugin's state, a page at a time",
    input: Listing,
    output: Anything,
    access: 'internal',
    effects: 'read',
    idempotent: true,
    reply: 'ack',
  })
  listState({ prefix, after }: z.output<typeof Listing>, context: AskContext) {
    return this.services.state.list(typeOf(context), prefix, after);
  }
}
