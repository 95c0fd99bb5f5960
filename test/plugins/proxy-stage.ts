import { FakeLink } from '@centreond/plugin-kit';
import type { Logger, State, Transport } from '@centreond/plugin-sdk';
import type { CarriedRequest, LinkOptions, NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import { type Ack, type JsonObject } from '@centreond/protocol';
import { vi } from 'vitest';

export const FINGERPRINT = 'A'.repeat(43);

/** Lets what is ready run, without moving time. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** A link to a router that answers what a node's is asked. */
export class NodeLink extends FakeLink {
  constructor(options: LinkOptions, id: string) {
    super(options, id);
    this.answers.INFORMATION = () => ({ version: '1.2.3', actions: ['ECHO', 'DO'], time: Date.now() + 2000 });
    this.answers.CONSTATUS = () => ({ nodes: [] });
    this.answers.SYNCLOGS = () => ({ epoch: 'e', last: 0 });
  }

  async up(): Promise<void> {
    this.become('up');
    await settle();
  }
  async lost(reason = 'the cable'): Promise<void> {
    this.become('connecting', reason);
    await settle();
  }
}

/** The services of a node, and of the instance that carries it, over links whose other end is the test. */
export class ProxyStage {
  readonly links = new Map<string, NodeLink>();
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
    callAs: () => {
      throw new Error('not used');
    },
    emit: async () => {},
    send: async (action, data, options) => {
      this.sent.push({ action, data, target: options?.target });
      return { token: 't', data: await this.sending() };
    },
    link: (options) => {
      const id = /\/\/([a-z]+)/.exec(options.address)?.[1] ?? '';
      const link = new NodeLink(options, id);
      this.links.set(id, link);
      return link;
    },
    carry: (nodes, deliver) => {
      this.carried.push(nodes);
      this.deliver = deliver;
      return { [Symbol.dispose]: () => void this.disposed++ };
    },
  };

  link(id: string): NodeLink {
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
