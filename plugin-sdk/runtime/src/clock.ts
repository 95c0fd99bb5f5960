import type { Clock } from '@centreond/plugin-sdk';
import { after } from '@centreond/protocol';

/** What every clock does in the same way, over its own time and timers. */
export abstract class TimerClock implements Clock {
  abstract now(): number;
  /** Calls `run` once, `ms` from now. Disposing the result before that cancels it. */
  protected abstract start(ms: number, run: () => void): Disposable;

  after(ms: number, run: () => void, { signal }: { readonly signal?: AbortSignal } = {}): Disposable {
    if (!signal) return this.start(ms, run);
    if (signal.aborted) return NO_TIMER;
    // Removed with the timer: a signal may outlive many timers.
    const cancel = () => {
      signal.removeEventListener('abort', cancel);
      timer[Symbol.dispose]();
    };
    const timer = this.start(ms, () => {
      signal.removeEventListener('abort', cancel);
      run();
    });
    signal.addEventListener('abort', cancel);
    return { [Symbol.dispose]: cancel };
  }

  sleep(ms: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        timer[Symbol.dispose]();
        reject(signal?.reason);
      };
      const timer = this.start(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}

const NO_TIMER: Disposable = { [Symbol.dispose]: () => {} };

class MachineClock extends TimerClock {
  now(): number {
    return Date.now();
  }

  protected start(ms: number, run: () => void): Disposable {
    return after(ms, run, { unref: true });
  }
}

/** The machine's clock. Its timers keep no process up. */
export const MACHINE_CLOCK: Clock = new MachineClock();
