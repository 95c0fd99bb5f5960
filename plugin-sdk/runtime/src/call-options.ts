import type { CallOptions } from '@centreond/plugin-sdk';

/** A plugin's options as those of an exchange. */
export function requestOptions({ token, target, timeoutMs, signal, hold, deadline, traceparent }: CallOptions) {
  const envelope = {
    ...(hold !== undefined && { hold }),
    ...(deadline !== undefined && { deadline }),
    ...(traceparent !== undefined && { traceparent }),
  };
  return {
    ...(token !== undefined && { token }),
    ...(target !== undefined && { target }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(signal && { signal }),
    ...(Object.keys(envelope).length > 0 && { envelope }),
  };
}
