import { FAILED, failure } from '@centreond/plugin-sdk';
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

/**
 * Settles what the last run left open: idempotent actions run again, requests to other nodes go on, all others end
 * OUTCOME_UNKNOWN. Resolves when each has its end on disk or is open again. Call it once, before the first request is accepted.
 */
export async function recover(options: RecoveryOptions): Promise<void> {
  const { id, store, registry, requests, elsewhere, clock } = options;
  const open = (record: RequestRecord, action: RegisteredAction, since: number): OpenRequest => {
    const envelope = keptEnvelope(record.envelope);
    const wantedUntil = envelope.deadline === undefined ? since + WAIT_LIMIT_MS : envelope.deadline * 1000;
    const { token, owner, target, data } = record;
    const urgent = owner === '@local';
    const request = new OpenRequest({
      token,
      owner,
      action,
      target,
      data,
      envelope,
      wantedUntil,
      acceptedAt: clock.now(),
      urgent,
    });
    request.forgetRows();
    requests.enter(request);
    request.recorded();
    return request;
  };
  for (const record of await store.unsettled()) {
    const action = registry.get(record.action);
    if (!sameTarget(record.target, '', id) && action?.manifest.runs !== 'here') {
      elsewhere.resume(open(record, elsewhere.action(record.action, action), record.etime * 1000));
    } else if (action?.manifest.idempotent) {
      action.executor.submit(open(record, action, clock.now()));
    } else {
      const { token } = record;
      const unknown = failure('OUTCOME_UNKNOWN', { token, action: record.action });
      const etime = Math.floor(clock.now() / 1000);
      await store.append({ token, code: FAILED, etime, data: JSON.stringify(unknown.toData()) });
    }
  }
}
