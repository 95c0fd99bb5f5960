import { FAILED, isTerminal } from '@centreond/protocol';
import { ACCEPT, ADOPT, APPEND, type Call, type FullDraft, KEEP, PUT } from '../batch.ts';
import { type Done, refused } from '../outcome.ts';
import type { StoredRequest } from '../questions.ts';
import type { KnownRequest, RequestRecord } from '../token-store.ts';
import { bigintArray, textArray } from './arrays.ts';
import { type Author, Changes } from './changes.ts';
import { ForeignLogs } from './foreign-logs.ts';
import { keep, note, putBefore, takeOver } from './rare-calls.ts';
import { SELECT_KNOWN, storedRequest } from './records.ts';
import type { Session } from './session.ts';

/** No request has this id. */
const NOT_ACCEPTED = -1;

/** Ids that a call may need. */
export function idsOf(call: Call): number {
  if (call.kind === ACCEPT || call.kind === APPEND) return 1;
  if (call.kind === PUT) return 2;
  return call.kind === ADOPT ? call.rows.length : 0;
}

/** What a group is done with. */
export interface Under {
  readonly session: Session;
  readonly author: Author;
  /** The first of the ids that were taken for it. */
  readonly firstId: number;
  /** At the size limit. */
  readonly isFull: boolean;
  /** Nothing is assumed: all tokens and open requests are looked up. Else new tokens are taken to be new. */
  readonly isCareful: boolean;
  /** Requests of earlier groups by the numbers of their accepts. */
  accepted(number: number): number | undefined;
}

/**
 * The calls of one transaction, done in their order on what was read of the database before: what they change is gathered and
 * written at once. What is rare is done by statements of its own.
 */
export class Group {
  readonly #under: Under;
  readonly #changes = new Changes();
  readonly #foreignLogs: ForeignLogs;
  readonly #known = new Map<string, StoredRequest>();
  /** Of the open requests that calls name by their ids, those that are. Only where nothing is assumed. */
  readonly #openIds = new Set<number>();
  readonly #ended = new Set<number>();
  /** Tokens that rows of their node came before. */
  readonly #early = new Set<string>();
  /** The requests of accepts in this group, by the numbers of those. */
  readonly accepted = new Map<number, number>();
  nextId: number;

  constructor(under: Under) {
    this.#under = under;
    this.nextId = under.firstId;
    this.#foreignLogs = new ForeignLogs(under.session, under.author.now);
  }

  /** Does the calls. Rejects with {@link Overtaken}, or with what the database says. */
  async do(calls: readonly Call[]): Promise<{ dones: Done[]; bytes: number }> {
    await this.#lookUp(calls);
    const dones: Done[] = [];
    for (const [at, call] of calls.entries()) dones.push(await this.#one(call, calls, at));
    const { session, author } = this.#under;
    return { dones, bytes: await this.#changes.apply(session, author, true) };
  }

  async #lookUp(calls: readonly Call[]): Promise<void> {
    const { session, isCareful, isFull } = this.#under;
    const tokens = new Set<string>();
    const sent: { token: string; target: string }[] = [];
    const ids: number[] = [];
    for (const call of calls) {
      if (call.kind === ACCEPT) {
        if (isCareful || isFull) tokens.add(call.request.token);
        if (call.request.target !== '') sent.push(call.request);
      } else if (call.kind === APPEND) {
        if (call.requestId === 0 && call.row.token !== '') tokens.add(call.row.token);
        if (call.requestId > 0 && isTerminal(call.row.code)) ids.push(call.requestId);
      } else if (call.kind === PUT) {
        tokens.add(call.row.token);
        if (call.own) tokens.add(call.own.token);
      } else if (call.kind === ADOPT) for (const row of call.rows) tokens.add(row.token);
    }
    if (tokens.size > 0) {
      for (const cells of await session.rows(SELECT_KNOWN, [textArray([...tokens])])) {
        const stored = storedRequest(cells);
        this.#known.set(stored.request.token, stored);
      }
    }
    if (isCareful && ids.length > 0) {
      const open = await session.rows('SELECT id FROM centreond_open WHERE id = ANY ($1::bigint[]) FOR UPDATE', [
        bigintArray(ids),
      ]);
      for (const cells of open) this.#openIds.add(cells.number());
    }
    if (sent.length === 0) return;
    const early = await session.rows(EARLY, [
      textArray(sent.map(({ token }) => token)),
      textArray(sent.map(({ target }) => target)),
    ]);
    for (const cells of early) this.#early.add(cells.text());
  }

  async #one(call: Call, calls: readonly Call[], at: number): Promise<Done> {
    if (call.kind === ACCEPT) return this.#accept(call.request, call.rowData, call.number);
    if (call.kind === APPEND) return this.#append(call.row, call.requestId);
    if (call.kind === PUT) return this.#put(call.row, call.owner, call.anyToken, call.own);
    const { session, author, isFull } = this.#under;
    if (call.kind === KEEP) {
      const kept = await keep(session, call, isFull);
      if ('refused' in kept) return kept;
      this.#changes.moreBytes += kept.bytes;
      return 0;
    }
    if (call.kind === ADOPT) {
      const page = await this.#foreignLogs.adopt(call, {
        changes: this.#changes,
        takeId: () => this.nextId++,
        known: (token) => this.#known.get(token),
        end: (request) => this.#end(request),
      });
      return { page };
    }
    const needed = calls.slice(at + 1).reduce((sum, one) => sum + idsOf(one), 0);
    const from = await note(session, call, this.#foreignLogs, author.now, needed);
    if (from !== undefined) this.nextId = from;
    return 0;
  }

  async #accept(request: RequestRecord, rowData: string, number: number): Promise<Done> {
    const { token, target, etime } = request;
    const known = this.#known.get(token);
    const isTakenOver = known !== undefined && known.request.state === 'log' && known.request.owner === request.owner;
    if (known && !isTakenOver) return { known: { ...known.request } };
    if (this.#under.isFull) return refused('FULL');
    const id = this.nextId;
    let requestId = id;
    const isEarly = this.#early.has(token);
    if (known) {
      requestId = known.id;
      await this.#takeOver(known, request, 'open');
    } else if (!isEarly) this.#claim(id, request, 'open');
    if (target !== '' && (known || isEarly)) {
      await this.#flush();
      const { session, author } = this.#under;
      const before = await putBefore(session, author, request, requestId, known !== undefined);
      requestId = before.id;
      this.#changes.moreBytes += before.bytes;
      this.#keepKnown(requestId, request, before.code === undefined ? 'open' : 'ended');
      if (before.code === FAILED) this.#changes.fail(requestId);
      if (before.code !== undefined) {
        this.#ended.add(requestId);
        return { known: { ...request, ctime: author.now, state: 'ended' } };
      }
    }
    this.#changes.open(requestId);
    this.#changes.row({ id, token, code: 0, etime, data: rowData });
    this.nextId++;
    if (number > 0) this.accepted.set(number, requestId);
    return requestId === id ? id : { id, requestId };
  }

  #append(row: FullDraft, openId: number): Done {
    const { accepted } = this.#under;
    // A row whose request was not accepted has no place.
    let requestId = openId < 0 ? (this.accepted.get(-openId) ?? accepted(-openId) ?? NOT_ACCEPTED) : openId;
    let type = '';
    if (requestId === NOT_ACCEPTED) return refused('UNKNOWN_TOKEN');
    const known = this.#known.get(row.token);
    if (requestId === 0 && row.token !== '') {
      if (!known) return refused('UNKNOWN_TOKEN');
      requestId = known.id;
      type = known.request.action;
      if (isTerminal(row.code) && known.request.state !== 'open') return refused('TOKEN_ENDED');
    }
    if (isTerminal(row.code)) {
      const isGone = this.#under.isCareful && openId > 0 && !this.#openIds.has(openId);
      if (requestId === 0 || isGone || this.#ended.has(requestId)) return refused('TOKEN_ENDED');
      this.#end({ id: requestId, token: row.token });
    }
    if (row.code === FAILED) this.#changes.fail(requestId);
    const id = this.#insert(row, row.type === type ? '' : row.type);
    return type === '' ? id : { id, type: row.type || type };
  }

  async #put(row: FullDraft, owner: string, anyToken: boolean, own: RequestRecord | undefined): Promise<Done> {
    const knownOwn = own && this.#known.get(own.token);
    if (knownOwn && !(knownOwn.request.state === 'log' && knownOwn.request.owner === owner))
      return { known: { ...knownOwn.request } };
    const known = this.#known.get(row.token)?.request;
    if (known && known.owner !== owner && !anyToken) return refused('FORBIDDEN');
    if (this.#under.isFull) return refused('FULL');
    if (own) {
      if (knownOwn) await this.#takeOver(knownOwn, own, 'ended');
      else this.#claim(this.nextId++, own, 'ended');
    }
    // Where PUTLOG bears the very token that it writes under, that is known now.
    const holder = this.#known.get(row.token)?.request;
    const type = known?.action ?? (row.type || (own?.action ?? 'PUTLOG'));
    if (!holder) {
      const { token, etime } = row;
      const claim = { token, owner, action: type, target: '', data: '', envelope: '', etime };
      this.#claim(this.nextId, claim, 'log');
    }
    const id = this.#insert(row, row.type === type ? '' : row.type);
    return { id, type: row.type || type, ...(known && { owner: known.owner }) };
  }

  #insert({ token, code, etime, data }: FullDraft, originType: string): number {
    const id = this.nextId++;
    this.#changes.row({ id, token, code, etime, data });
    if (originType !== '') this.#changes.origin(id, originType);
    return id;
  }

  #claim(id: number, request: RequestRecord, state: KnownRequest['state']): void {
    this.#changes.request(id, request, state === 'log');
    this.#keepKnown(id, request, state);
  }

  #keepKnown(id: number, request: RequestRecord, state: KnownRequest['state']): void {
    this.#known.set(request.token, { id, request: { ...request, ctime: this.#under.author.now, state } });
  }

  #end({ id, token }: { id: number; token: string }): void {
    this.#changes.end(id);
    this.#ended.add(id);
    const known = this.#known.get(token);
    if (known) known.request = { ...known.request, state: 'ended' };
  }

  async #takeOver(known: StoredRequest, request: RequestRecord, state: 'open' | 'ended'): Promise<void> {
    await this.#flush();
    const { session, author } = this.#under;
    this.#changes.moreBytes += await takeOver(session, known.id, request, author.now);
    this.#keepKnown(known.id, request, state);
  }

  async #flush(): Promise<void> {
    await this.#changes.apply(this.#under.session, this.#under.author, false);
  }
}

/** Of requests for nodes, by tokens $1 and targets $2, those of which rows of the node are here. */
const EARLY = {
  name: 'early',
  text: `SELECT DISTINCT t.token FROM unnest($1::text[], $2::text[]) AS t (token, target)
    JOIN centreond_node n ON n.id = t.target
    JOIN centreond_history h ON h.token = t.token
    JOIN centreond_origin o ON o.id = h.id AND o.apart AND o.node = n.number`,
};
