import type { Logger, State, Transport } from '@centreond/plugin-sdk';
import type { CarriedRequest, Link, LinkOptions, NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import { type Ack, failure, type JsonObject } from '@centreond/protocol';
import { vi } from 'vitest';

export const FINGERPRINT = 'A'.repeat(43);

/** Lets what is ready run, without moving time. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** A link whose other end is the test. */
export class FakeLink implements Link {
  /** What the router at the other end answers, by action; none: it never does. */
  readonly answers: Record<string, () => JsonObject>;
  readonly sent: string[] = [];
  readonly forwarded: CarriedRequest[] = [];
  forwarding: (request: CarriedRequest) => Promise<Ack> = async ({ token }) => ({ token, data: {} });
  id: string;
  mute = false;
  closed = false;

  constructor(
    readonly options: LinkOptions,
    id: string,
  ) {
    this.id = id;
    this.answers = {
      INFORMATION: () => ({ version: '1.2.3', actions: ['ECHO', 'DO'], time: Date.now() + 2000 }),
      CONSTATUS: () => ({ nodes: [] }),
      SYNCLOGS: () => ({ epoch: 'e', last: 0 }),
    };
  }

  async up(): Promise<void> {
    this.options.onState?.('up', '');
    await settle();
  }
  async lost(reason = 'the cable'): Promise<void> {
    this.options.onState?.('connecting', reason);
    await settle();
  }
  /** What the other end asks. */
  async ask(action: string, data: JsonObject): Promise<JsonObject> {
    const envelope = { from: '', hops: [] };
    const { onRequest } = this.options;
    if (!onRequest) throw new Error('nothing is taken');
    return onRequest({ action, token: 't', target: '', data, envelope });
  }

  async ping() {
    if (this.mute) return new Promise<never>(() => {});
    return { id: this.id, hostname: 'h', version: '1.2.3', roundTripMs: 1.5 };
  }
  async send(action: string): Promise<Ack> {
    this.sent.push(action);
    if (this.mute) return new Promise<never>(() => {});
    const answer = this.answers[action];
    if (!answer) throw failure('UNKNOWN_ACTION', { action, near: undefined });
    return { token: 't', data: answer() };
  }
  forward(request: CarriedRequest): Promise<Ack> {
    this.forwarded.push(request);
    return this.forwarding(request);
  }
  call(): never {
    throw new Error('not used');
  }
  follow(): never {
    throw new Error('not used');
  }
  streamLogs(): void {}
  async close(): Promise<void> {
    this.closed = true;
  }
}

/** The services of a node, and of the instance that carries it, over links whose other end is the test. */
export class ProxyStage {
  readonly links = new Map<string, FakeLink>();
  readonly lines: string[] = [];
  /** What was carried, each time. */
  readonly carried: (readonly NodeAnnouncement[])[] = [];
  readonly sent: { action: string; data: object; target: string | undefined }[] = [];
  readonly changed = vi.fn();
  sending: () => Promise<JsonObject> = async () => ({ stored: 1 });
  deliver: (request: CarriedRequest) => Promise<Ack> = () => Promise.reject(new Error('nothing is carried'));
  disposed = 0;

  readonly log: Logger = {
    debug: () => {},
    info: (fields: object | string, message?: string) => void this.lines.push(`info ${message ?? fields}`),
    warn: (fields: object | string, message?: string) => void this.lines.push(`warn ${message ?? fields}`),
    error: (fields: object | string, message?: string) => void this.lines.push(`error ${message ?? fields}`),
  };
  readonly state: State = {
    get: async () => undefined,
    set: async () => {},
    delete: async () => {},
    list: async () => [],
  };
  readonly transport: Transport = {
    call: () => Promise.reject(new Error('not used')),
    emit: async () => {},
    send: async (action, data, options) => {
      this.sent.push({ action, data, target: options?.target });
      return { token: 't', data: await this.sending() };
    },
    link: (options) => {
      const id = /\/\/([a-z]+)/.exec(options.address)?.[1] ?? '';
      const link = new FakeLink(options, id);
      this.links.set(id, link);
      return link;
    },
    carry: (nodes, deliver) => {
      this.carried.push(nodes);
      this.deliver = deliver;
      return { [Symbol.dispose]: () => void this.disposed++ };
    },
  };

  link(id: string): FakeLink {
    const link = this.links.get(id);
    if (!link) throw new Error(`there is no link to ${id}`);
    return link;
  }
  last(id: string): NodeAnnouncement | undefined {
    return this.carried.at(-1)?.find((node) => node.id === id);
  }
}

/** A node whose id its address bears, as the stage's links have it. */
export function pushed(id: string, more: object = {}) {
  return {
    id,
    type: 'push' as const,
    address: `tcp://${id}:5555`,
    fingerprint: FINGERPRINT,
    subnodes: [],
    ...more,
  };
}

export function requestFor(target: string, data: JsonObject = {}, hops: string[] = []): CarriedRequest {
  return { action: 'DO', token: 'token', target, data, envelope: { from: 'alice', hops } };
}
