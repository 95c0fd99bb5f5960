import { FAILED, failure } from '@centreond/protocol';
import type { RequestRecord, TokenStore } from '../store/token-store.ts';
import type { Elsewhere } from './elsewhere.ts';
import { keptEnvelope } from './envelope.ts';
import { WAIT_LIMIT_MS } from './ladder.ts';
import type { Registry } from './registry.ts';
import { sameTarget } from './repeat.ts';
import { OpenRequest, type RegisteredAction } from './request.ts';
import type { Requests } from './requests.ts';

export interface RecoveryOptions {
  /** This router's id. */
  readonly id: string;
  readonly store: Pick<TokenStore, 'unsettled' | 'append'>;
  readonly registry: Registry;
  readonly requests: Requests;
  readonly elsewhere: Elsewhere;
  readonly clock: { now(): number };
}

/** Requests of an earlier run that are read at once, and settled before the next ones are read. */
const PAGE = 2000;
const PAGE_BYTES = 8 * 1024 * 1024;

/**
 * Settles what the last run left open, page by page: idempotent actions run again, requests to other nodes go on, all others end
 * OUTCOME_UNKNOWN. Resolves when each has its end on disk or is open again. Call it once, before the first request is accepted.
 */
export async function recover(options: RecoveryOptions): Promise<void> {
  const { store } = options;
  let settling = Promise.resolve();
  for (let after = 0; ; ) {
    // The next page is read while this one is written.
    const page = store.unsettled(after, PAGE, PAGE_BYTES);
    const [{ requests, last }] = await Promise.all([page, settling]);
    if (requests.length === 0) return;
    after = last;
    settling = settleAll(requests, options);
  }
}

async function settleAll(requests: readonly RequestRecord[], options: RecoveryOptions): Promise<void> {
  await Promise.all(requests.map((record) => settle(record, options)));
}

/** Settles a request of a router, or of a process of this one, that is gone. Resolves as {@link recover} does. */
export async function settle(record: RequestRecord, options: RecoveryOptions): Promise<void> {
  const { id, store, registry, requests, elsewhere, clock } = options;
  const action = registry.get(record.action);
  const isHere = sameTarget(record.target, '', id) || action?.manifest.runs === 'here';
  // Another router ran it, or may have: nobody there can be asked.
  const isOver = record.hasStarted && !isHere;
  if (!isOver && !isHere) {
    elsewhere.resume(reopen(record, elsewhere.action(record.action, action), record.etime * 1000, options));
  } else if (!isOver && action?.manifest.idempotent) {
    action.executor.submit(reopen(record, action, clock.now(), options));
  } else {
    const { token } = record;
    const unknown = failure('OUTCOME_UNKNOWN', { token, action: record.action });
    const etime = Math.floor(clock.now() / 1000);
    const row = await store.append({ token, code: FAILED, etime, data: JSON.stringify(unknown.toData()) });
    requests.published(row, record.owner);
    // One that was handed over came back.
    const before = requests.get(token);
    if (before) requests.endedElsewhere(before);
  }
}

/** Enters a recorded request again; without a deadline it waits a day from `since` (milliseconds). */
export function reopen(
  { token, owner, target, data, envelope: text }: RequestRecord,
  action: RegisteredAction,
  since: number,
  { requests, clock }: Pick<RecoveryOptions, 'requests' | 'clock'>,
): OpenRequest {
  const envelope = keptEnvelope(text);
  const wantedUntil = envelope.deadline === undefined ? since + WAIT_LIMIT_MS : envelope.deadline * 1000;
  // One that was handed over came back.
  const before = requests.get(token);
  if (before) requests.endedElsewhere(before);
  const parts = { token, owner, action, target, data, envelope, wantedUntil, acceptedAt: clock.now() };
  const open = new OpenRequest({ ...parts, urgent: owner === '@local' });
  open.forgetRows();
  requests.enter(open);
  open.recorded();
  return open;
}
