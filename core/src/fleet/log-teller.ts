import { newToken, parseData } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Peer } from '../router/peer.ts';
import type { TokenStore } from '../store/token-store.ts';
import { LogMark } from './log-mark.ts';
import type { PeerRequests } from './peer-requests.ts';

const ANSWER_LIMIT_MS = 60_000;

/** What a router answers: where it stands, and its newest row of this log under the epoch asked for. */
export interface Standing {
  readonly last: number | undefined;
  readonly mark: LogMark | undefined;
}

/** Tells one router rows of this log, under the epoch that it was last asked with. */
export class LogTeller {
  /** The epoch under which the router was asked where it stands. */
  epoch: string;

  constructor(
    private readonly options: {
      readonly store: Pick<TokenStore, 'epoch'>;
      readonly requests: PeerRequests;
      readonly log: Log;
    },
    private readonly peer: Peer,
  ) {
    this.epoch = options.store.epoch;
  }

  /** The router's identity. */
  get router(): string {
    return this.peer.identity;
  }

  /** Tells the router that it has the log up to `at` under the epoch of now. */
  async begin(at: number): Promise<void> {
    this.epoch = this.options.store.epoch;
    await this.tell([], 0);
    await this.tell([], at);
  }

  /** Sends one message and resolves with where the router stands after it. */
  async tell(rows: readonly string[], last: number): Promise<Standing> {
    const { requests, log } = this.options;
    const data = `{"epoch":"${this.epoch}","rows":[${rows.join(',')}],"last":${last}}`;
    const request = { action: 'SETLOGS', token: newToken(), target: '', data };
    const answer = parseData(await requests.ask(this.peer, request, ANSWER_LIMIT_MS));
    if (Array.isArray(answer.refused) && answer.refused.length > 0) {
      log.warn(
        { router: this.peer.identity, refused: answer.refused.slice(0, 10) },
        `${this.peer.identity} did not take ${answer.refused.length} rows of this router's log`,
      );
    }
    return {
      last: typeof answer.last === 'number' ? answer.last : undefined,
      mark: LogMark.safeParse(answer.mark).data,
    };
  }
}
