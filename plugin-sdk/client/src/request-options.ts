import { FrameError, formatMessage, isAction, isTarget, isToken, requestData } from '@centreond/protocol';

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
