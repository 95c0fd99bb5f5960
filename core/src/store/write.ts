import { type CentreondError, failure } from '@centreond/protocol';
import type { Odd } from './batch.ts';
import type { Waiting } from './lane.ts';

/** One call to the writer: what it came to settles its promise. */
export abstract class Write<T> implements Waiting {
  readonly settled: Promise<T>;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;

  constructor(
    readonly size: number,
    readonly rows: number,
  ) {
    this.settled = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** What the call came to. Throws the CentreondError of a refusal. */
  protected abstract result(id: number, ctime: number, odd: Odd | undefined): T;

  /** Nothing of it was written. */
  protected failed(): void {}

  done(id: number, ctime: number, odd: Odd | undefined): void {
    try {
      this.#resolve(this.result(id, ctime, odd));
    } catch (error) {
      this.#reject(error);
    }
  }

  reject(error: CentreondError): void {
    this.failed();
    this.#reject(error);
  }
}

/** Why the writer refused a call under `token` by `identity`; `maxBytes` is the size limit of the store. */
export function refusalOf(odd: Odd, token: string, identity: string, maxBytes: number): CentreondError {
  switch (odd.refused) {
    case 'TOKEN_ENDED':
      return failure('TOKEN_ENDED', { token });
    case 'UNKNOWN_TOKEN':
      return failure('UNKNOWN_TOKEN', { token });
    case 'FORBIDDEN':
      return failure('FORBIDDEN', {
        identity,
        what: `write under the token ${token}, which is another's`,
        remedy: 'Use a token of your own.',
      });
    case 'FULL':
      return failure('STORE_FAILED', {
        reason: `the store holds its ${maxBytes} bytes (core.store.maxSize) and nothing in it is old enough to go; raise that or shorten core.store.retention`,
      });
    default:
      return failure('STORE_FAILED', { reason: odd.reason ?? 'the writer did not say why' });
  }
}
