import os from 'node:os';
import { Action, Plugin } from '@centreond/plugin-sdk';
import { failure, type Json } from '@centreond/protocol';
import { CLIENT_LABELS, type KeyPair, signPss } from '@centreond/protocol/channel';
import { z } from 'zod';
import type { Log } from '../log.ts';
import { type AskContext, CHANGE, NOTHING, READ } from '../router/declaring.ts';
import type { Events } from '../router/events.ts';
import type { Telemetry } from '../router/telemetry.ts';
import type { PluginState } from './state.ts';

const Signing = z.strictObject({ label: z.enum(CLIENT_LABELS), hash: z.string().length(43) });
const Emission = z.strictObject({ event: z.string(), data: z.looseObject({}) });
const Key = z.strictObject({ key: z.string() });
const Entry = z.strictObject({ key: z.string(), value: z.unknown() });
const Listing = z.strictObject({ prefix: z.string(), after: z.string() });

export interface ServiceOptions {
  readonly id: string;
  readonly version: string;
  readonly keys: KeyPair;
  readonly state: PluginState;
  readonly telemetry: Telemetry;
  readonly events: Events;
  readonly log: Log;
}

/** The type of the plugin that asks: only instances have the role that these actions are for. */
function typeOf({ caller }: AskContext): string {
  return caller.identity.slice(1);
}

/** What a plugin's injected services ask of the core: for instances only, answered in the ACK. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class ServiceActions {
  constructor(private readonly options: ServiceOptions) {}

  @Action('ROUTERKEY', {
    ...READ,
    title: 'Ask who this router is on its links',
    input: NOTHING,
    access: 'internal',
  })
  routerKey() {
    const { id, version, keys } = this.options;
    return { id, hostname: os.hostname(), version, jwk: keys.jwk, thumbprint: keys.thumbprint };
  }

  @Action('SIGN', {
    ...CHANGE,
    title: "Sign a client's part of a handshake with the router's key",
    input: Signing,
    access: 'internal',
    idempotent: false,
  })
  async sign({ label, hash }: z.output<typeof Signing>, context: AskContext) {
    const { telemetry, log, keys } = this.options;
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
    ...CHANGE,
    title: "Emit one of the asking plugin's declared events",
    input: Emission,
    access: 'internal',
    idempotent: false,
  })
  emit({ event, data }: z.output<typeof Emission>, context: AskContext) {
    this.options.events.emitFrom(typeOf(context), event, data);
  }

  @Action('GETSTATE', {
    ...READ,
    title: "Read an entry of the asking plugin's state",
    input: Key,
    access: 'internal',
  })
  getState({ key }: z.output<typeof Key>, context: AskContext) {
    return this.options.state.get(typeOf(context), key);
  }

  @Action('SETSTATE', {
    ...CHANGE,
    title: "Keep an entry in the asking plugin's state",
    input: Entry,
    access: 'internal',
  })
  async setState({ key, value }: z.output<typeof Entry>, context: AskContext) {
    // The ladder has parsed it from JSON.
    await this.options.state.set(typeOf(context), key, value as Json | undefined);
  }

  @Action('DELETESTATE', {
    ...CHANGE,
    title: "Forget an entry of the asking plugin's state",
    input: Key,
    access: 'internal',
  })
  async deleteState({ key }: z.output<typeof Key>, context: AskContext) {
    await this.options.state.delete(typeOf(context), key);
  }

  @Action('LISTSTATE', {
    ...READ,
    title: "List entries of the asking plugin's state, a page at a time",
    input: Listing,
    access: 'internal',
  })
  listState({ prefix, after }: z.output<typeof Listing>, context: AskContext) {
    return this.options.state.list(typeOf(context), prefix, after);
  }
}
