import { isDeepStrictEqual } from 'node:util';
import {
  FrameError,
  formatMessage,
  isAction,
  isTarget,
  isToken,
  parseData,
  parseMessage,
  requestData,
} from '@centreond/protocol';

/** What a caller may say of a request. */
export interface RequestOptions {
  readonly token?: string;
  readonly target?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly envelope?: object;
}

/** The text of a request. Throws MALFORMED_FRAME where a part of it cannot be one. */
export function requestOf(action: string, token: string, data: object, options: RequestOptions): string {
  const { target = '', envelope } = options;
  if (!isAction(action)) throw new FrameError(`${JSON.stringify(action)} cannot be an ACTION`, '');
  if (token === '' || !isToken(token)) throw new FrameError(`${JSON.stringify(token)} cannot be a TOKEN`, '');
  if (!isTarget(target)) throw new FrameError(`${JSON.stringify(target)} cannot be a TARGET`, token);
  if (Array.isArray(data)) throw new FrameError('DATA is not an object', token);
  return formatMessage(action, token, target, requestData(action, envelope ? { ...data, $: envelope } : data));
}

/** Whether two texts ask for the same, as the router sees it: what the envelope `$` says may differ. */
export function isRepeat(text: string, of: string): boolean {
  return text === of || isDeepStrictEqual(askedIn(text), askedIn(of));
}

function askedIn(text: string): object {
  const { action, target, data } = parseMessage(text);
  const { $: _, ...asked } = parseData(data);
  return { action, target, asked };
}
