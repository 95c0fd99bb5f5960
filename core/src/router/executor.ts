import type { ActionManifest, CentreondError, JsonObject } from '@centreond/plugin-sdk';
import type { Envelope } from './envelope.ts';
import type { Peer } from './peer.ts';
import type { OpenRequest } from './request.ts';

/** An answer in the ACK: `data` is JSON text, `after` runs once the ACK is queued. */
export class Answer {
  constructor(
    readonly data: string,
    readonly after?: () => void,
  ) {}
}

/** A request that is answered in the ACK, as its executor sees it. */
export interface Asked {
  readonly token: string;
  /** The node that TARGET named; empty for this router. */
  readonly target: string;
  readonly envelope: Envelope;
}

/** Runs requests. The host implements it for plugins, the fleet for other nodes; the router calls it. */
export interface Runner {
  /** Its requests run on another node: they outlive this process, and rows from there end them. */
  readonly elsewhere?: true;
  /** How long an aborted request may take to end by itself, in milliseconds; 6000 if omitted. */
  readonly abortGraceMs?: number;
  /**
   * Called once before the request is recorded. Returns why it cannot be accepted now, or undefined. `data` is the parsed
   * `open.data`. An admitted request is later submitted or withdrawn.
   */
  admit(
    open: OpenRequest,
    data: JsonObject,
    peer: Peer,
  ): CentreondError | undefined | Promise<CentreondError | undefined>;
  /** Answers an action with `reply: 'ack'` directly. If omitted, such a request is admitted and submitted like any other. */
  ask?(action: ActionManifest, data: JsonObject, peer: Peer, asked: Asked): Answer | Promise<Answer>;
  /** Takes an accepted request: runs it now or queues it. Calls `open.started` when it runs. */
  submit(open: OpenRequest): void;
  /** Tells the instance that runs the request to stop. The request ends by a later row, or by the router's sweep. */
  abort(open: OpenRequest, reason: CentreondError): void;
  /** Forgets a request that is queued, or that was admitted and will not be submitted. */
  withdraw(open: OpenRequest): void;
}

/** A process that hears events. */
export interface Hearer {
  /** The plugin's type. */
  readonly type: string;
  /** Runs in the core's own process: it takes each event at once and sends no HEARD. */
  readonly inCore?: true;
  send(message: string): void;
}

/** Runs the actions of one plugin: processes, or the core itself. */
export interface Executor extends Runner {
  /** Its processes that can hear an event now. */
  hearers(): readonly Hearer[];
  /** The ids of its instances. */
  ids(): string[];
  /** Ends an instance, or all for the empty id, as KILL does. Resolves when they are gone. */
  kill(id: string, progress: (step: string) => void): Promise<void>;
  status(): PluginStatus;
}

/** A plugin as `status` and INFORMATION show it. */
export interface PluginStatus {
  readonly type: string;
  readonly package: string;
  readonly version: string;
  readonly state: string;
  readonly reason?: string;
  readonly waiting: number;
  readonly instances: readonly {
    readonly id: string;
    readonly pid: number | null;
    readonly state: string;
    readonly restarts: number;
    readonly inFlight: number;
    readonly p50Ms: number | null;
    readonly p99Ms: number | null;
    readonly rss: number | null;
  }[];
}
