import type { Worker } from 'node:worker_threads';
import { type CentreondError, failure, reasonOf } from '@centreond/protocol';
import { Shares } from '../shares.ts';
import { Turns } from '../turns.ts';
import type { Answers, FromReader, Question, ToReader } from './questions.ts';
import type { Thread } from './thread.ts';
import type { StoreSettings } from './token-store.ts';

/** Pages that the reader reads side by side, one of each identity: between their pieces it answers everything else. */
const PAGES = { atOnce: 8, ofOne: 1 };
/** Questions for one entry that are with the reader: one that comes next waits for so many at most. */
const ENTRIES = { atOnce: 64, ofOne: 64 };
const ENTRY_READS = { count: 400_000, perIdentity: { count: 100_000 } };
const CLOSE_MS = 10_000;

interface Asked {
  readonly question: Question;
  /** Whose turn and share it is; '' for the router itself. */
  readonly as: string;
  readonly lane: Lane;
  resolve(answer: Answers[keyof Answers]): void;
  reject(error: CentreondError): void;
}

/** Questions of one kind, of which so many are with the reader at once. The identities that ask take turns, within a share each. */
class Lane {
  /** How many are with the reader: of all, and of each identity. */
  #asked = 0;
  readonly #askedOf = new Map<string, number>();
  readonly waiting = new Turns<Asked>(({ as }) => as);
  readonly shares: Shares;

  constructor(
    private readonly most: { readonly atOnce: number; readonly ofOne: number },
    limits: StoreSettings['reads'],
  ) {
    this.shares = new Shares('reads of the history', limits);
  }

  /** Takes out the next one that may go to the reader now. */
  next(): Asked | undefined {
    if (this.#asked >= this.most.atOnce) return undefined;
    const next = this.waiting.next((as) => (this.#askedOf.get(as) ?? 0) < this.most.ofOne);
    if (!next) return undefined;
    this.#asked++;
    this.#askedOf.set(next.as, (this.#askedOf.get(next.as) ?? 0) + 1);
    return next;
  }

  /** One that was taken out has its answer. */
  answered({ as }: Asked): void {
    this.#asked--;
    const left = (this.#askedOf.get(as) ?? 1) - 1;
    if (left > 0) this.#askedOf.set(as, left);
    else this.#askedOf.delete(as);
    this.shares.give(as, 0);
  }
}

/**
 * The main thread's side of the reader. Pages and questions for one entry have a lane each, so that nobody's reads hold up
 * another's, and no page an entry.
 */
export class HistoryReader {
  readonly #worker: Worker;
  readonly #options: Pick<StoreSettings, 'node' | 'died'>;
  readonly #asked = new Map<number, Asked>();
  readonly #pages: Lane;
  readonly #entries = new Lane(ENTRIES, ENTRY_READS);
  #number = 0;
  #closed = false;
  #broken: string | undefined;
  #onExit: (() => void) | undefined;

  private constructor(worker: Worker, options: Pick<StoreSettings, 'node' | 'died' | 'reads'>) {
    this.#worker = worker;
    this.#options = options;
    this.#pages = new Lane(PAGES, options.reads);
    worker.on('message', (message: FromReader) => {
      if (message.kind === 'answer') this.#answered(message);
    });
    worker.on('error', (error) => this.#break(reasonOf(error)));
    worker.on('exit', () => {
      this.#break('its reader ended');
      this.#onExit?.();
    });
  }

  /** Lets the reader in `thread` open a database that the writer has prepared, by `settings`. Rejects with a plain Error. */
  static async open(
    thread: Thread<FromReader>,
    settings: object,
    options: Pick<StoreSettings, 'node' | 'died' | 'reads'>,
  ): Promise<HistoryReader> {
    thread.worker.postMessage(settings);
    await thread.ready();
    return new HistoryReader(thread.worker, options);
  }

  /** Rejects with HISTORY_UNREADABLE, with BUSY beyond a share, and with STOPPING after `close`. */
  ask<K extends keyof Answers>(question: Question & { kind: K }): Promise<Answers[K]> {
    return new Promise((resolve, reject) => {
      const as = askerOf(question);
      const lane = PAGE_KINDS.has(question.kind) ? this.#pages : this.#entries;
      const refusal = this.#refusal(lane, as);
      if (refusal) {
        reject(refusal);
        return;
      }
      // The reader answers each question with what Answers has for its kind.
      const asked: Asked = { question, as, lane, resolve: (answer) => resolve(answer as Answers[K]), reject };
      lane.shares.take(as, 0);
      lane.waiting.add(asked);
      this.#pump(lane);
    });
  }

  #refusal(lane: Lane, as: string): CentreondError | undefined {
    if (this.#closed) return failure('STOPPING', { router: this.#options.node });
    if (this.#broken !== undefined) return failure('HISTORY_UNREADABLE', { reason: this.#broken });
    // The router's own reads are bounded by what makes them.
    return as === '' ? undefined : lane.shares.refusal(as, 0);
  }

  #pump(lane: Lane): void {
    for (let next = lane.next(); next; next = lane.next()) this.#send(next);
  }

  #send(asked: Asked): void {
    const number = ++this.#number;
    this.#asked.set(number, asked);
    this.#post({ kind: 'ask', number, question: asked.question });
  }

  #answered({ number, answer, failed }: FromReader & { kind: 'answer' }): void {
    const asked = this.#asked.get(number);
    if (!asked) return;
    this.#asked.delete(number);
    const { lane } = asked;
    lane.answered(asked);
    this.#pump(lane);
    if (failed === undefined) asked.resolve(answer);
    else asked.reject(failure('HISTORY_UNREADABLE', { reason: failed }));
    if (this.#closed) this.#closeIfIdle();
  }

  #post(message: ToReader): void {
    this.#worker.postMessage(message);
  }

  #break(reason: string): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    const error = failure('HISTORY_UNREADABLE', { reason });
    const waiting = [this.#pages, this.#entries].flatMap((lane) => lane.waiting.clear());
    for (const asked of [...this.#asked.values(), ...waiting]) asked.reject(error);
    this.#asked.clear();
    if (!this.#closed) this.#options.died?.(new Error(`the reading thread of the token store ended: ${reason}`));
  }

  #closeIfIdle(): void {
    const waiting = this.#pages.waiting.size + this.#entries.waiting.size;
    if (this.#asked.size + waiting === 0) this.#post({ kind: 'close' });
  }

  /** Answers what was asked, then ends the reader; after 10 s with force. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#broken !== undefined) return;
    const limit = setTimeout(() => this.#worker.terminate(), CLOSE_MS);
    await new Promise<void>((resolve) => {
      this.#onExit = resolve;
      this.#closeIfIdle();
    });
    clearTimeout(limit);
  }
}

const PAGE_KINDS: ReadonlySet<Question['kind']> = new Set([
  'page',
  'text',
  'requests',
  'log',
  'entries',
  'unsettled',
] as const);

/** Who asks; '' for the router itself. */
function askerOf(question: Question): string {
  if ('filter' in question) return question.filter.as ?? '';
  return 'as' in question ? question.as : '';
}
