import { Action, Plugin } from '@centreond/plugin-sdk';
import { failure, faultOf, MAX_ROW_DEPTH, ROW_ROOM } from '@centreond/protocol';
import { z } from 'zod';
import type { RequestRecord, TokenStore } from '../store/token-store.ts';
import { actsForAll, seesAll } from './authorize.ts';
import { type AskContext, CHANGE, EVERYBODY, READ, TOKEN } from './declaring.ts';
import type { Envelope } from './envelope.ts';
import type { Followers } from './followers.ts';
import { reservedFault } from './ladder.ts';
import type { Registry } from './registry.ts';
import { repeatFault } from './repeat.ts';
import { Answer } from './request.ts';
import type { Requests } from './requests.ts';

const SECONDS = z
  .int()
  .min(0)
  .max(2 ** 52);
const ID = z
  .int()
  .min(0)
  .max(2 ** 52);

const Getlog = z.strictObject({
  token: TOKEN.exactOptional(),
  code: z
    .int()
    .min(0)
    .max(2 ** 31)
    .exactOptional(),
  ctime: SECONDS.exactOptional(),
  etime: SECONDS.exactOptional(),
  id: ID.exactOptional(),
  limit: z.int().min(1).max(10_000).exactOptional(),
});
const Putlog = z.strictObject({
  token: TOKEN,
  code: z.union([
    z.literal(0),
    z
      .int()
      .min(10)
      .max(2 ** 31),
  ]),
  etime: SECONDS.exactOptional(),
  data: z.json(),
});
const Follow = z.strictObject({ token: TOKEN, id: ID.exactOptional() });

export interface HistoryOptions {
  readonly id: string;
  readonly maxMessage: number;
  readonly store: TokenStore;
  readonly followers: Followers;
  readonly requests: Requests;
  readonly registry: Registry;
  readonly clock: { now(): number };
  /** Brings the log of `node` here. Rejects with NODE_UNREACHABLE. */
  synchronise(node: string, envelope: Envelope): Promise<void>;
}

/** Reading, writing and following rows. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class HistoryActions {
  constructor(private readonly options: HistoryOptions) {}

  @Action('GETLOG', {
    ...READ,
    title: 'Read rows of the history',
    description:
      '= for token and code, > for ctime, etime and id; one of them at least. With a TARGET the log of that node is brought here first.',
    input: Getlog,
    access: EVERYBODY,
    runs: 'here',
  })
  async getlog(input: z.output<typeof Getlog>, { caller, target, envelope }: AskContext) {
    const { limit = 1000, ...filter } = input;
    if (Object.keys(filter).length === 0) {
      throw failure('INVALID_DATA', { action: 'GETLOG', reason: 'one of token, code, ctime, etime, id is needed' });
    }
    const { store, maxMessage, id, synchronise } = this.options;
    if (target !== '') await synchronise(target, envelope);
    const { identity } = caller;
    const mine = seesAll(caller) ? {} : { owner: identity, ...(caller.roles.has('node') && { target: identity }) };
    const page = await store.queryText({
      ...filter,
      ...mine,
      as: identity,
      limit,
      maxBytes: Math.floor(maxMessage * 0.75),
    });
    return new Answer(`{"action":"getlog","id":"${id}","result":${page.text},"more":${page.more}}`);
  }

  @Action('PUTLOG', {
    ...CHANGE,
    title: 'Write one row under a token',
    input: Putlog,
    access: EVERYBODY,
  })
  async putlog(input: z.output<typeof Putlog>, { caller, token: own }: AskContext) {
    const { store, requests, clock, id, registry } = this.options;
    const { token, code, data } = input;
    const type = registry.reservedFor(token);
    if (type !== undefined && caller.identity !== `@${type}` && !caller.roles.has('router')) {
      throw reservedFault(caller.identity, token, type);
    }
    const now = Math.floor(clock.now() / 1000);
    if (own === token) {
      const reason = 'its own TOKEN must differ from data.token, under which the row is written';
      throw failure('INVALID_DATA', { action: 'PUTLOG', reason });
    }
    const open = requests.get(token);
    const running = open !== undefined && caller.identity === `@${open.action.type}` && caller.roles.has('plugin');
    // A row of a token that is being recorded stands behind its request; of one that was withdrawn nothing is stored.
    if (open?.isRecording) await new Promise<void>((resolve) => open.whenRecorded(resolve));
    const withdrawn = [open, requests.lingering(token)].find((one) => one?.isDropped);
    if (withdrawn && caller.identity === `@${withdrawn.action.type}`) {
      throw withdrawn.abortedFor ?? failure('CANCELLED', { token, by: 'the router' });
    }
    const anyToken = running || actsForAll(caller);
    const row = { token, code, etime: input.etime ?? now, data: JSON.stringify(data) };
    const bytes = Buffer.byteLength(row.data);
    const limit = this.options.maxMessage - ROW_ROOM;
    // A row beyond these could be sent to nobody, and would stop every page that it is on.
    if (bytes > limit) throw failure('TOO_LARGE', { bytes, limit });
    if (faultOf(data, MAX_ROW_DEPTH)) {
      throw failure('INVALID_DATA', { action: 'PUTLOG', reason: `its data nests deeper than ${MAX_ROW_DEPTH} levels` });
    }
    const record: RequestRecord = {
      token: own,
      owner: caller.identity,
      action: 'PUTLOG',
      target: '',
      data: JSON.stringify(input),
      envelope: '',
      etime: now,
    };
    const { identity: owner } = caller;
    const put = await store.put(row, { owner, anyToken, ...(own === '' ? {} : { own: record }) });
    if (put.known) {
      const fault = repeatFault(id, actsForAll(caller), caller.identity, record, put.request);
      if (fault) throw fault;
      return { duplicate: true };
    }
    // At once: a row that waits here would reach its followers after younger ones, or never.
    requests.published(put.row, put.owner);
    return {};
  }

  @Action('FOLLOW', {
    ...READ,
    title: 'Get each row of a token as it is written',
    input: Follow,
    access: EVERYBODY,
    runs: 'here',
  })
  follow(input: z.output<typeof Follow>, context: AskContext): Answer | Promise<Answer> {
    const { token, id = 0 } = input;
    const { caller } = context;
    const { requests, followers, store } = this.options;
    const open = requests.get(token);
    if (open?.isRecording) {
      // Both acknowledgements and the first row then go in one record. At once: its end may be stored in the same moment.
      return new Promise<Answer>((resolve, reject) =>
        open.whenRecorded(() => {
          try {
            resolve(this.follow(input, context));
          } catch (error) {
            reject(error);
          }
        }),
      );
    }
    // What is not open here may be open at another router of the cluster.
    const follower = followers.attach(caller, token, id, open === undefined);
    const refuse = () => {
      followers.detach(follower);
      const remedy = 'It belongs to another identity.';
      return failure('FORBIDDEN', { identity: caller.identity, what: `follow the token ${token}`, remedy });
    };
    if (open) {
      if (open.owner !== caller.identity && !seesAll(caller)) throw refuse();
      const { rows } = open;
      if (rows) return new Answer('{}', () => followers.goLive(follower, rows, open.owner));
      return new Answer('{}', () => void followers.catchUp(follower, open.owner));
    }
    const isOfRefused = followers.isOfRefused(follower);
    return store.find(token, caller.identity).then(
      (known) => {
        if (!known && isOfRefused) {
          followers.detach(follower);
          return new Answer('{}');
        }
        if (!known) return new Answer('{}', () => followers.goLive(follower, [], caller.identity));
        if (known.owner !== caller.identity && !seesAll(caller)) throw refuse();
        return new Answer('{}', () => void followers.catchUp(follower, known.owner, known.state === 'ended'));
      },
      (error: unknown) => {
        followers.detach(follower);
        throw error;
      },
    );
  }
}
