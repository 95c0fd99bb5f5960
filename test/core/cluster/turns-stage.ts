import { CentreondError } from '@centreond/protocol';
import { RouterStandIn } from '../../../core/dist/cluster/router-stand-in.js';
import { Unanswered } from '../../../core/dist/fleet/pending.js';
import { Standby } from '../../../core/dist/host/standby.js';
import type { Executor } from '../../../core/dist/router/executor.js';
import { OpenRequest } from '../../../core/dist/router/request.js';
import { action } from '../router/world.ts';
import { TestLog } from '../store/opened.ts';

export const NO_ANSWER = new Unanswered('NOT_ACKNOWLEDGED', 'no answer came');
export const NOT_REACHED = new CentreondError('NODE_UNREACHABLE', 'it is not reached');
export const CANCELLED = new CentreondError('CANCELLED', 'no longer wanted');

/** What runs the plugin here. */
export class Here implements Executor {
  readonly ran: string[] = [];
  readonly aborted: string[] = [];
  admit(): undefined {
    return undefined;
  }
  submit(open: OpenRequest): void {
    if (open.state !== 'waiting') throw new Error(`${open.token} is ${open.state}`);
    this.ran.push(open.token);
    open.started(Date.now(), open.wantedUntil);
  }
  abort(open: OpenRequest): void {
    if (this.ran.includes(open.token)) this.aborted.push(open.token);
  }
  withdraw(): void {}
  hearers(): [] {
    return [];
  }
  ids(): [] {
    return [];
  }
  async kill(): Promise<void> {}
  status(): never {
    throw new Error('nobody asks');
  }
}

/** Keeps no lines for debugging. */
export class Lines extends TestLog {
  debug(): void {}
}

/** The router a, on which a plugin stands by that b runs. */
export class Turn {
  runsOn: string | undefined = 'b';
  /** What the database says of where each request is open; an Error where it says nothing. */
  readonly holders = new Map<string, string | undefined | Error>();
  /** What happens just before one is kept. */
  beforeKept: () => void = () => {};
  /** How often each was kept. */
  readonly kept = new Map<string, number>();
  /** How often the database was asked. */
  questions = 0;
  /** Hand-overs that were not answered yet. */
  readonly carried: { token: string; router: string; answer(error?: Error): void }[] = [];
  readonly cancelled: string[] = [];
  readonly ended: string[] = [];
  readonly log = new Lines();
  readonly here = new Here();
  readonly standIns: RouterStandIn[] = [];
  readonly standby = this.another();

  another(): Standby {
    const standIn = new RouterStandIn({
      ...{ id: 'a', type: 'clock', clock: Date, log: this.log as never, runsOn: () => this.runsOn },
      bus: {
        ask: async (to, what, text) => {
          this.cancelled.push(`${what} ${(JSON.parse(text) as { token: string }).token} at ${to}`);
          return '{}';
        },
      },
      membership: {
        holderOf: async (token) => {
          this.questions++;
          const holder = this.holders.has(token) ? this.holders.get(token) : 'a';
          if (holder instanceof Error) throw holder;
          return holder;
        },
      },
      requests: {
        fail: (open, { code }) => {
          if (open.ended()) this.ended.push(`${open.token} ${code}`);
        },
      },
      keep: async (token) => {
        this.beforeKept();
        if ((this.holders.has(token) ? this.holders.get(token) : 'a') !== 'a') return false;
        this.kept.set(token, (this.kept.get(token) ?? 0) + 1);
        return true;
      },
      carrierOf: (router) => ({ carry: ({ token }: { token: string }) => this.#carry(router, token) }) as never,
    });
    this.standIns.push(standIn);
    return new Standby({} as never, standIn);
  }

  #carry(router: string, token: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const answer = (error?: Error) => {
        this.carried.splice(this.carried.indexOf(handed), 1);
        if (error) reject(error);
        else resolve('{}');
      };
      const handed = { token, router, answer };
      this.carried.push(handed);
    });
  }

  request(token: string): OpenRequest {
    const open = new OpenRequest({
      ...{ token, owner: 'alice', target: '', data: '{}', envelope: { text: '' } },
      action: { manifest: action('ONCE'), type: 'clock', executor: this.standby, fault: () => undefined },
      ...{ wantedUntil: Date.now() + 3_600_000, acceptedAt: Date.now() },
    });
    open.recorded();
    return open;
  }

  submit(token: string): OpenRequest {
    const open = this.request(token);
    this.standby.submit(open);
    return open;
  }

  /** Answers the one hand-over that is under way. */
  answer(error?: Error): void {
    const [only] = this.carried;
    if (!only || this.carried.length > 1) throw new Error(`${this.carried.length} hand-overs are under way`);
    only.answer(error);
  }

  /** As the router does where a request is cancelled, or too old. */
  abort(open: OpenRequest): void {
    if (open.aborted(CANCELLED, Date.now())) this.standby.abort(open, CANCELLED);
  }
}
