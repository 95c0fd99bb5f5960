import type { Clock, Health } from '@centreond/plugin-sdk';
import type { HealthState } from '@centreond/plugin-sdk/internal';
import { failure, formatMessage } from '@centreond/protocol';
import { Pace } from './pace.ts';

/** A change is told at most once in so many milliseconds. */
export const HEALTH_EVERY_MS = 5000;
/** Bytes of UTF-8 of a `why`. A longer one is cut. */
export const WHY_BYTES = 1024;

/** How an instance fares, as it said last. */
export interface ReportedHealth {
  readonly state: HealthState;
  /** Empty if it is ok. */
  readonly why: string;
}

/** A plugin's health over the link to its core. */
export class LinkHealth implements Health {
  #said: ReportedHealth | undefined;
  #told: ReportedHealth | undefined;
  readonly #pace: Pace;

  constructor(
    private readonly type: string,
    private readonly wire: { send(message: string): void },
    clock: Pick<Clock, 'after'>,
  ) {
    this.#pace = new Pace(HEALTH_EVERY_MS, clock, () => this.#tell());
  }

  /** What the plugin said last, told or still to be told. */
  get said(): ReportedHealth | undefined {
    return this.#said;
  }

  report(state: HealthState, why = ''): void {
    const { type } = this;
    if (state !== 'ok' && state !== 'degraded') {
      throw failure('INVALID_REPORT', { type, reason: `its health '${String(state)}' is neither ok nor degraded` });
    }
    if (state === 'degraded' && (typeof why !== 'string' || why.trim() === '')) {
      throw failure('INVALID_REPORT', { type, reason: 'degraded needs to say why' });
    }
    this.#said = { state, why: state === 'ok' ? '' : cutBytes(why, WHY_BYTES) };
    if (!isSame(this.#said, this.#told)) this.#pace.ask();
  }

  #tell(): void {
    // It may be back to what was told before.
    if (!this.#said || isSame(this.#said, this.#told)) return;
    this.#told = this.#said;
    const { state, why } = this.#said;
    this.wire.send(formatMessage('INSTANCEHEALTH', state, '', state === 'ok' ? {} : { why }));
  }
}

function isSame(a: ReportedHealth, b: ReportedHealth | undefined): boolean {
  return a.state === b?.state && a.why === b.why;
}

/** A text in at most so many bytes of UTF-8, with `…` where it was cut. */
function cutBytes(text: string, limit: number): string {
  const bytes = Buffer.from(text.toWellFormed());
  if (bytes.length <= limit) return text.toWellFormed();
  let end = limit - Buffer.byteLength('…');
  // Not within a character.
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return `${bytes.toString('utf8', 0, end)}…`;
}
