import { CentreondError } from '@centreond/protocol';
import type { RouterRecord } from '../../../core/dist/store/membership.js';

/** Keeps what is logged, each line as `level: message`. */
export class Lines {
  readonly lines: string[] = [];
  #line(level: string, first: object | string, message?: string): void {
    this.lines.push(`${level}: ${typeof first === 'string' ? first : `${message} ${JSON.stringify(first)}`}`);
  }
  debug(first: object | string, message?: string): void {
    this.#line('debug', first, message);
  }
  info(first: object | string, message?: string): void {
    this.#line('info', first, message);
  }
  warn(first: object | string, message?: string): void {
    this.#line('warn', first, message);
  }
  error(first: object | string, message?: string): void {
    this.#line('error', first, message);
  }
  /** The lines of one level. */
  of(level: string): string[] {
    return this.lines.filter((line) => line.startsWith(`${level}: `));
  }
}

/** Stands for the bus: keeps what is told, and answers what is asked by `answers`. */
export class FakeBus {
  away: string | undefined;
  readonly told: { readonly to: string; readonly what: string; readonly said: unknown }[] = [];
  readonly asked: { readonly to: string; readonly what: string; readonly said: unknown }[] = [];
  answers: (to: string, what: string) => Promise<string> = async () => '{}';

  tell(to: string, what: string, text: string): void {
    this.told.push({ to, what, said: JSON.parse(text) });
  }

  ask(to: string, what: string, text: string): Promise<string> {
    this.asked.push({ to, what, said: JSON.parse(text) });
    return this.answers(to, what);
  }

  /** What was told since the last call. */
  heard(): { readonly to: string; readonly what: string; readonly said: unknown }[] {
    return this.told.splice(0);
  }
}

export function router(id: string, change: Partial<RouterRecord> = {}): RouterRecord {
  return {
    ...{ id, fingerprint: '', endpoint: '', version: '1', state: 'up', startedAt: 1, silentSeconds: 0, load: '{}' },
    ...change,
  };
}

/** What a promise rejects with, as its code; `no refusal` where it resolves. */
export async function refusalOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
    return 'no refusal';
  } catch (error) {
    return error instanceof CentreondError ? error.code : String(error);
  }
}
