import type { Client, SendOptions } from '@centreond/client';
import { type HistoryRow, isCentreondError, isUnsure } from '@centreond/protocol';
import type { Event } from './checker.ts';

/** Writes down what clients are told of their requests. */
export class Recorder {
  readonly events: Event[] = [];
  readonly acknowledged = new Set<string>();
  /** How often each code refused a request. */
  readonly refusals = new Map<string, number>();

  /** Sends a request. False if it was not acknowledged. `once`: its action is not idempotent. */
  async send(
    client: Client,
    action: string,
    data: object,
    { once, ...options }: SendOptions & { readonly token: string; readonly once: boolean },
  ): Promise<boolean> {
    const { token } = options;
    this.events.push({ kind: 'invoke', token, once });
    try {
      await client.send(action, data, options);
    } catch (error) {
      if (!isCentreondError(error)) throw error;
      const { code } = error;
      this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
      this.events.push(isUnsure(code) ? { kind: 'unknown', token } : { kind: 'fail', token, code });
      return false;
    }
    this.acknowledged.add(token);
    this.events.push({ kind: 'ok', token });
    return true;
  }

  /** All rows of a token, up to its end. */
  async follow(client: Client, token: string): Promise<HistoryRow[]> {
    const rows: HistoryRow[] = [];
    for await (const row of client.follow(token)) {
      rows.push(row);
      this.events.push({ kind: 'row', token, id: row.id, code: row.code });
    }
    return rows;
  }
}
