import { CentreondError, isCentreondError, reasonOf } from '@centreond/plugin-sdk';

/** What a refusal answers, by its code. */
const STATUS: Readonly<Record<string, number>> = {
  MALFORMED_FRAME: 400,
  MALFORMED_BODY: 400,
  INVALID_DATA: 400,
  INVALID_QUERY: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  UNKNOWN_ACTION: 404,
  UNKNOWN_TARGET: 404,
  UNKNOWN_INSTANCE: 404,
  NODE_LACKS_ACTION: 404,
  TOKEN_REUSED: 409,
  TOO_LARGE: 413,
  BUSY: 429,
  TOO_MANY_LOGINS: 429,
  NODE_UNREACHABLE: 502,
  NOT_READY: 503,
  STOPPING: 503,
  STORE_FAILED: 503,
  CLIENT_CLOSED: 503,
  NOT_FOLLOWED: 503,
  NOT_ACKNOWLEDGED: 504,
  WAIT_OVER: 504,
};

/** The sentences of what this plugin itself refuses. */
const SENTENCES = {
  UNAUTHENTICATED: () =>
    'This needs a token: send `Authorization: Bearer SECRET`, or Basic with its name and secret. The config of this plugin lists the tokens.',
  TOO_MANY_LOGINS: (d: { seconds: number }) => `Too many logins failed from this address. Try again in ${d.seconds} s.`,
  NOT_FOUND: (d: { method: string; path: string }) =>
    `There is no ${d.method} ${d.path}. GET /api/openapi.json describes what there is.`,
  INVALID_QUERY: (d: { reason: string }) => `The query of this request cannot be used: ${d.reason}.`,
  MALFORMED_BODY: (d: { reason: string }) =>
    `The body is not what this request takes: ${d.reason}. Send a JSON object, the DATA of the action.`,
} as const;
type Sentences = typeof SENTENCES;

/** An error of this plugin's own, with its sentence. */
export function refusal<C extends keyof Sentences>(code: C, ...details: Parameters<Sentences[C]>): CentreondError {
  const sentence = SENTENCES[code] as (...details: unknown[]) => string;
  return new CentreondError(code, sentence(...details));
}

/** What is answered for whatever was thrown: HTTP status, and `{error, message}`. */
export function answerOf(thrown: unknown): { status: number; body: { error: string; message: string } } {
  if (isCentreondError(thrown)) {
    return { status: STATUS[thrown.code] ?? 500, body: bodyOf(thrown) };
  }
  const { statusCode, code } = thrown as { statusCode?: unknown; code?: unknown };
  // Fastify's own: a body that is too large, a header that is malformed.
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    const error = statusCode === 413 ? 'TOO_LARGE' : 'MALFORMED_BODY';
    return { status: statusCode, body: { error, message: `${reasonOf(thrown).replace(/\.?$/, '')}.` } };
  }
  const reference = typeof code === 'string' ? code : 'INTERNAL';
  return {
    status: 500,
    body: {
      error: 'INTERNAL',
      message: `The plugin http failed on this request (${reference}); the daemon's log has the cause.`,
    },
  };
}

function bodyOf({ code, message }: CentreondError) {
  return { error: code, message };
}
