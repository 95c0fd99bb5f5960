import { Request, type Room, type Waiting } from './requests.ts';

/**
 * The messages of an exchange that wait for their ACK, by token. The same request may be made again before its ACK, so a token has
 * a queue of copies, and ACKs come in the order in which the copies were sent. A request that is over keeps its place until the ACK
 * of its copy is here or the session is gone: else that ACK would be taken for another's.
 */
export class Outstanding {
  readonly #byToken = new Map<string, Waiting>();
  /** What was refused and will be sent again: after a time, or undefined for the next session. */
  readonly #postponed = new Map<Waiting, NodeJS.Timeout | undefined>();

  constructor(private readonly room: Room) {}

  /** The first that waits for an ACK of `token`. */
  first(token: string): Waiting | undefined {
    return this.#byToken.get(token);
  }

  /** All that waits, in order, but for what is postponed. */
  all(): Waiting[] {
    const all: Waiting[] = [];
    for (const first of this.#byToken.values())
      for (let one: Waiting | undefined = first; one; one = one.next) all.push(one);
    return all;
  }

  /** Appends it to the queue of its token. */
  add(waiting: Waiting): void {
    waiting.next = undefined;
    let last = this.#byToken.get(waiting.token);
    if (!last) {
      this.#byToken.set(waiting.token, waiting);
      return;
    }
    while (last.next) last = last.next;
    last.next = waiting;
  }

  /** Takes the first of `token` out: its ACK is here. */
  take(token: string): Waiting | undefined {
    const first = this.#byToken.get(token);
    if (!first) return undefined;
    this.#remove(first);
    first.isSent = false;
    if (first instanceof Request && first.isOver) this.#free(first);
    return first;
  }

  /** Keeps it for the next session, or sends it with `send` after `ms` if there is none before. */
  postpone(waiting: Waiting, ms?: number, send: () => void = () => {}): void {
    const timer =
      ms === undefined
        ? undefined
        : setTimeout(() => {
            this.#postponed.delete(waiting);
            send();
          }, ms);
    this.#postponed.set(waiting, timer);
  }

  /** It was acknowledged: nothing of it has to be kept to be sent again. */
  acknowledged(request: Request): void {
    this.room.settle(request.bytes);
    request.isSettled = true;
  }

  /** It is over; if a copy of it was sent, its ACK is waited for. */
  over(request: Request): void {
    if (request.isSent) return;
    clearTimeout(this.#postponed.get(request));
    this.#postponed.delete(request);
    this.#remove(request);
    this.#free(request);
  }

  /** The session is gone, and with it every ACK that was to come. What is asked again is queued; the rest is forgotten. */
  lost(): void {
    for (const one of this.all()) {
      one.isSent = false;
      if (!one.repeats) this.#remove(one);
      else if (one instanceof Request && one.isOver) this.over(one);
    }
    for (const [one, timer] of this.#postponed) {
      clearTimeout(timer);
      this.add(one);
    }
    this.#postponed.clear();
  }

  #free(request: Request): void {
    if (!request.isSettled) this.room.settle(request.bytes);
    this.room.leave();
  }

  #remove(waiting: Waiting): void {
    const { token, next } = waiting;
    const first = this.#byToken.get(token);
    if (first === waiting) {
      if (next) this.#byToken.set(token, next);
      else this.#byToken.delete(token);
    } else for (let one = first; one; one = one.next) if (one.next === waiting) one.next = next;
    waiting.next = undefined;
  }
}
