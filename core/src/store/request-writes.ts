import { failure, isTerminal } from '@centreond/protocol';
import { type Odd, pushAccept, pushAppend } from './batch.ts';
import type { Accepted, RequestRecord, Row, RowDraft, StoreSettings } from './token-store.ts';
import { refusalOf, Write } from './write.ts';
import type { WriteQueue } from './write-queue.ts';

/** Appends may queue up to so many times the bounds: what was accepted must be able to end. */
export const APPEND_PATIENCE = 2;
/** A request with more characters waits where nobody waits behind it. */
const LARGE = 64 * 1024;

/** An open request as the writer finds it, and the type of its rows. */
interface OpenToken {
  readonly id: number;
  readonly action: string;
}

/** Records requests and the rows of this router under their tokens. */
export class RequestWrites {
  readonly #queue: WriteQueue;
  readonly #options: Pick<StoreSettings, 'node' | 'maxBytes'>;
  readonly #open = new Map<string, OpenToken>();
  /** The accepts whose outcome is not known, each by its promise. */
  readonly #underWay = new Map<Promise<Accepted>, Accept>();
  /** The numbers of those that were not recorded, 0 without one: no row behind them is written. */
  readonly #failed = new WeakMap<Promise<Accepted>, number>();
  #lastNumber = 0;

  constructor(queue: WriteQueue, options: Pick<StoreSettings, 'node' | 'maxBytes'>) {
    this.#queue = queue;
    this.#options = options;
  }

  /** A request is open under `token` since an earlier run. */
  opened(token: string, open: OpenToken): void {
    this.#open.set(token, open);
  }

  /** A row of another node ended `token`. */
  ended(token: string): void {
    this.#open.delete(token);
  }

  /** Keeps the contract of {@link TokenStore.accept}. */
  accept(request: RequestRecord, rowData: string, endsSoon: boolean): Promise<Accepted> {
    const size = request.data.length + request.envelope.length + rowData.length;
    const refusal = this.#queue.refusal(size, 1);
    if (refusal) {
      const refused = Promise.reject(refusal);
      this.#failed.set(refused, 0);
      return refused;
    }
    const isLarge = size > LARGE;
    const number = isLarge ? 0 : ++this.#lastNumber;
    const accept = new Accept(this, number, request, rowData, size);
    pushAccept(this.#queue.add(accept, isLarge ? 'bulk' : 'own'), number, request, rowData);
    if (endsSoon && !isLarge) this.#queue.endsSoon(number);
    this.#underWay.set(accept.settled, accept);
    return accept.settled;
  }

  /** Keeps the contract of {@link TokenStore.append}. */
  append(draft: RowDraft, behind: Promise<Accepted> | undefined): Promise<Row> {
    const { token, code, data } = draft;
    const accept = behind && this.#underWay.get(behind);
    const number = accept?.number ?? (behind && this.#failed.get(behind));
    if (behind && number === 0) return this.#appendAfter(behind, draft);
    const refusal = this.#queue.refusal(data.length, APPEND_PATIENCE);
    if (refusal) return Promise.reject(refusal);
    const open = number === undefined ? this.#open.get(token) : undefined;
    const type = draft.type === open?.action ? '' : (draft.type ?? '');
    if (accept && isTerminal(code)) this.#queue.ended(accept.number);
    const append = new Append(this, draft, type, open?.action);
    pushAppend(this.#queue.add(append, 'own'), draft, type, number === undefined ? (open?.id ?? 0) : -number);
    return append.settled;
  }

  /** A large request waits where its rows would overtake it; one that the queue refused has no place there. */
  async #appendAfter(behind: Promise<Accepted>, draft: RowDraft): Promise<Row> {
    if ((await behind).known) throw failure('UNKNOWN_TOKEN', { token: draft.token });
    return this.append(draft, undefined);
  }

  /** What became of an accept. Throws where it was refused. */
  accepted(accept: Accept, id: number, ctime: number, odd: Odd | undefined): Accepted {
    const { request, rowData } = accept;
    if (odd?.known || odd?.refused) this.failed(accept);
    else this.#settle(accept);
    if (odd?.known) return { known: true, request: odd.known };
    const { token, action, etime, owner } = request;
    if (odd?.refused) throw refusalOf(odd, token, owner, this.#options.maxBytes);
    this.#open.set(token, { id: odd?.requestId ?? id, action });
    const row = { id, token, type: action, node: this.#options.node, code: 0, etime, ctime, data: rowData };
    return odd?.requestId === undefined ? { known: false, row } : { known: false, row, earlier: true };
  }

  /** Nothing of an accept was written. */
  failed(accept: Accept): void {
    this.#settle(accept);
    this.#failed.set(accept.settled, accept.number);
  }

  #settle(accept: Accept): void {
    this.#queue.acceptSettled(accept.number);
    this.#underWay.delete(accept.settled);
  }

  /** The row that an append came to. Throws where it was refused. */
  appended({ draft, type, action }: Append, id: number, ctime: number, odd: Odd | undefined): Row {
    const { token, code, etime, data } = draft;
    if (odd?.refused) throw refusalOf(odd, token, '', this.#options.maxBytes);
    const ofToken = action ?? this.#open.get(token)?.action ?? '';
    if (isTerminal(code)) this.#open.delete(token);
    return { id, token, type: odd?.type || type || ofToken, node: this.#options.node, code, etime, ctime, data };
  }
}

class Accept extends Write<Accepted> {
  constructor(
    private readonly writes: RequestWrites,
    readonly number: number,
    readonly request: RequestRecord,
    readonly rowData: string,
    size: number,
  ) {
    super(size, 1);
  }

  protected result(id: number, ctime: number, odd: Odd | undefined): Accepted {
    return this.writes.accepted(this, id, ctime, odd);
  }

  protected override failed(): void {
    this.writes.failed(this);
  }
}

class Append extends Write<Row> {
  constructor(
    private readonly writes: RequestWrites,
    readonly draft: RowDraft,
    /** Where it is not the action of its request. */
    readonly type: string,
    /** The action of its request, where that was known. */
    readonly action: string | undefined,
  ) {
    super(draft.data.length, 1);
  }

  protected result(id: number, ctime: number, odd: Odd | undefined): Row {
    return this.writes.appended(this, id, ctime, odd);
  }
}
