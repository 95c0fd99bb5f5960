import { numberOf } from './schema.ts';
import type { Session } from './session.ts';

/** The numbers that stand for the ids of nodes, each looked up once. A transaction that is rolled back takes those with it that it entered. */
export class NodeNumbers {
  readonly #session: Session;
  readonly #numbers = new Map<string, number>();

  constructor(session: Session) {
    this.#session = session;
  }

  /** The number of a node, which is given one if it has none. */
  async of(node: string): Promise<number> {
    const known = this.#numbers.get(node);
    if (known !== undefined) return known;
    const number = await numberOf(this.#session, node);
    this.#numbers.set(node, number);
    return number;
  }

  /** The number of a node that was looked up; 0, which no node has, for any other. */
  found(node: string): number {
    return this.#numbers.get(node) ?? 0;
  }
}
