/**
 * The one table of errors that travel: in replies, in rows and to the callers of this package.
 * A code is stable for ever and a retired one is never used again. Imports nothing.
 */
const SENTENCES = {
  // In replies (code 1).
  MALFORMED_FRAME: (d: { reason: string }) =>
    `The frame is malformed: ${d.reason}. Send [ACTION] [TOKEN] [TARGET] {"json": "object"}.`,
  TOO_LARGE: (d: { bytes: number; limit: number }) =>
    `The message has ${d.bytes} bytes and the limit is ${d.limit}. Send less at once or raise core.maxMessage.`,
  INVALID_DATA: (d: { action: string; reason: string }) => `${d.action} does not take this DATA: ${d.reason}.`,
  UNKNOWN_ACTION: (d: { action: string; near: string | undefined }) =>
    `No plugin here declares the action ${d.action}${d.near ? `; did you mean ${d.near}?` : '.'} \`centreond plugins\` lists what there is.`,
  UNKNOWN_TARGET: (d: { target: string; router: string; why?: string }) =>
    d.why === undefined
      ? `No node ${d.target} is known to the router ${d.router}. Leave TARGET empty for the router itself, or link the node first.`
      : `The node ${d.target} ${d.why}. Send the request to another node if need be.`,
  UNKNOWN_INSTANCE: (d: { type: string; id: string; known: readonly string[] }) =>
    `There is no instance ${d.type}${d.id === '' ? '' : `/${d.id}`}. There is: ${d.known.join(', ') || 'none'}.`,
  NODE_UNREACHABLE: (d: { target: string; why?: string }) =>
    `The node ${d.target} ${d.why ?? 'does not answer'}. Send again later, or with "$":{"hold":true} to have it kept.`,
  NODE_LACKS_ACTION: (d: { target: string; action: string; have: readonly string[] }) =>
    `The node ${d.target} has no action ${d.action}. Nodes that have it: ${d.have.join(', ') || 'none'}.`,
  FORBIDDEN: (d: { identity: string; what: string; remedy: string }) => `${d.identity} may not ${d.what}. ${d.remedy}`,
  TOKEN_REUSED: (d: { token: string; action: string }) =>
    `The token ${d.token} already names another request (${d.action}). Choose a new token, or leave it empty to get one.`,
  NOT_READY: (d: { type: string; state: string; reason: string }) =>
    `The plugin ${d.type} is ${d.state}: ${d.reason}. \`centreond status\` shows when it is back.`,
  BUSY: (d: { what: string; limit: number }) => `${d.what} is full (${d.limit}). Send again in a moment.`,
  STOPPING: (d: { router: string }) => `The router ${d.router} is stopping. Send again once it is back.`,
  STORE_FAILED: (d: { reason: string }) =>
    `The request could not be put on disk: ${d.reason}. Nothing was run; fix the disk or core.store, then send again.`,
  INTERNAL: (d: { reference: string }) =>
    `The router failed on this request. Its log has the cause under ${d.reference}; please report it.`,
  INVALID_EVENT: (d: { type: string; event: string; reason: string }) =>
    `The plugin ${d.type} cannot emit ${d.event}: ${d.reason}.`,
  INVALID_REPORT: (d: { type: string; reason: string }) =>
    `The plugin ${d.type} cannot report this: ${d.reason}. The plugin's author has to fix it.`,
  STATE_FULL: (d: { type: string; bytes: number; limit: number }) =>
    `The plugin ${d.type} would keep ${d.bytes} bytes and may keep ${d.limit}. Have it delete what it no longer needs.`,
  // In clear, before a session: the same words for every cause.
  HANDSHAKE_REFUSED: () =>
    "The handshake was refused. Check that this key is authorised, that the identity is the one bound to it, and that both clocks agree; the router's log names the cause.",
  // In rows only (terminal, code 1).
  PLUGIN_CRASHED: (d: { type: string; token: string; cause: string; ran?: boolean }) =>
    d.ran === false
      ? `The plugin ${d.type} does not run (${d.cause}), and ${d.token} never started. Send it again with a new token once \`centreond status\` shows the plugin as ready.`
      : `The plugin ${d.type} ended (${d.cause}) while it ran ${d.token}. Whether the action took effect is for the plugin to say; \`centreond status\` shows its state.`,
  PLUGIN_KILLED: (d: { type: string; token: string }) =>
    `The instance of ${d.type} that ran ${d.token} was killed on request. Send it again with a new token if it is still wanted.`,
  TIMEOUT: (d: { action: string; seconds: number; ran?: boolean }) =>
    d.ran === false
      ? `${d.action} waited ${d.seconds} s and never started. Send it again with a later deadline, or once what it waits for is there.`
      : `${d.action} did not end within ${d.seconds} s and was stopped. Give it more time, or less to do.`,
  CANCELLED: (d: { token: string; by: string }) => `The request ${d.token} was cancelled by ${d.by}.`,
  INTERRUPTED: (d: { token: string }) =>
    `The router stopped before ${d.token} was done. Send it again with a new token if it is still wanted.`,
  OUTCOME_UNKNOWN: (d: { token: string; action: string; cause?: string }) =>
    `${d.cause ?? 'The router ended'} while ${d.token} ran, and ${d.action} is not declared idempotent, so it was not run again. Look at its effect, then send a new request if need be.`,
  INVALID_OUTPUT: (d: { action: string; reason: string; row?: true }) =>
    d.row === true
      ? `${d.action} cannot write this row: ${d.reason}. The plugin's author has to fix it.`
      : `${d.action} ran, but answered what its output schema does not allow: ${d.reason}. The plugin's author has to fix it.`,
  CALL_REFUSED: (d: { action: string; error: string; message: string }) =>
    `The plugin's own call of ${d.action} was refused (${d.error}): ${d.message} The request itself was in order; the plugin's log has more.`,
  ACTION_FAILED: (d: { reason: string }) => d.reason,
  COMMAND_NOT_STARTED: (d: { program: string; reason: string }) =>
    `The command ${d.program} could not be started: ${d.reason}.`,
  FILES_REFUSED: (d: { path: string; reason: string }) => `The file ${d.path} was not taken: ${d.reason}.`,
  FILES_OUT_OF_STEP: (d: { path: string; reason: string }) =>
    `The file ${d.path} is not where its sender takes it to be: ${d.reason}. The sender opens it again and goes on from there.`,
  FILES_INCOMPLETE: (d: { count: number; of: number; list: string }) =>
    `${d.count} of ${d.of} files and folders were not taken: ${d.list.replace(/\.$/, '')}. The others have arrived; fix these and send again.`,
  UNKNOWN_ROUTER: (d: { router: string; cluster: string; near: string | undefined }) =>
    `The cluster ${d.cluster} has no router ${d.router}${d.near ? `; did you mean ${d.near}?` : '.'} \`centreond routers\` lists what there is.`,
  ROUTER_NOT_GONE: (d: { router: string; seconds: number }) =>
    `The router ${d.router} is not gone: it was heard ${d.seconds} s ago. Stop its daemon for good (\`systemctl disable --now centreond\` there), then forget it.`,
  ROUTER_NOT_TAKEN_OVER: (d: { router: string; open: number }) =>
    `What is open at the router ${d.router} is not taken over yet: ${d.open === 1 ? '1 request' : `${d.open} requests`}. A router that is up does so within 15 s. Forget it then.`,
  NO_CLUSTER: (d: { router: string }) =>
    `The router ${d.router} is by itself: its config names no cluster (core.cluster), so that there is no other router to forget.`,
  // At the caller: raised by the client, the runtime and the manifest, never sent.
  BROKEN_RECORD: (d: { reason: string }) =>
    `The record does not open: ${d.reason}. The session ends; a new handshake follows.`,
  BROKEN_HANDSHAKE: (d: { reason: string }) => `The handshake cannot go on: ${d.reason}.`,
  BROKEN_KEY: (d: { reason: string }) => `The key cannot be used: ${d.reason}.`,
  NOT_CONNECTED: (d: { address: string; seconds: number; reason: string }) =>
    `No session with ${d.address} within ${d.seconds} s: ${d.reason.replace(/\.$/, '')}. Check the address, that the router runs, and that this key is accepted there.`,
  CLIENT_CLOSED: (d: { reason: string }) => `The client is closed: ${d.reason}.`,
  CLIENT_REPLACED: (d: { identity: string }) =>
    `Another process connected as ${d.identity}, and this one gave way. Give each process an identity of its own.`,
  KEY_REVOKED: (d: { identity: string }) =>
    `The router ended the session of ${d.identity} since its key was revoked, and refuses the key now. Requests that it had accepted go on. Have the key accepted again with \`centreond keys accept\`, or use another key.`,
  WAIT_OVER: (d: { token: string; seconds: number }) =>
    `${d.token} has not ended within ${d.seconds} s. It goes on; read it later by its token.`,
  NOT_ACKNOWLEDGED: (d: { token: string; seconds: number }) =>
    `${d.token} was sent and not acknowledged within ${d.seconds} s, so nobody knows whether it was accepted. Send it again under the same token: it never runs twice.`,
  NOT_FOLLOWED: (d: { token: string; reason: string }) =>
    `${d.token} was accepted and goes on, but its rows cannot be followed now: ${d.reason.replace(/\.$/, '')}. Do not send it again; read it later by its token.`,
  TOKEN_ENDED: (d: { token: string }) =>
    `The token ${d.token} has its terminal row already. No further one is written.`,
  UNKNOWN_TOKEN: (d: { token: string }) =>
    `The store knows no token ${d.token}. Accept its request before its rows are appended.`,
  HISTORY_UNREADABLE: (d: { reason: string }) =>
    `The history could not be read: ${d.reason}. Ask again; the router's log has more if it lasts.`,
  STORE_UNUSABLE: (d: { file: string; reason: string }) => `The token store ${d.file} cannot be opened: ${d.reason}.`,
  MANIFEST_STALE: (d: { plugin: string }) =>
    `The plugin ${d.plugin} declares something else than its manifest says. Run \`centreond-plugin build\` in its package.`,
  INVALID_PLUGIN: (d: { plugin: string; reason: string }) => `The plugin ${d.plugin} cannot be used: ${d.reason}.`,
} as const;

/** The table itself, for the page of all error codes. */
export const ERROR_TABLE: Readonly<Record<string, unknown>> = SENTENCES;

type Sentences = typeof SENTENCES;

/** A stable error code: what programs branch on. */
export type ErrorCode = keyof Sentences;

/** What a code's sentence has to be told. */
export type ErrorDetails<C extends ErrorCode> = Parameters<Sentences[C]>[0];

/** What passes by itself: the same request, sent again later, may be accepted. */
const PASSING: ReadonlySet<string> = new Set<ErrorCode>([
  'BUSY',
  'HISTORY_UNREADABLE',
  'INTERNAL',
  'NODE_UNREACHABLE',
  'NOT_ACKNOWLEDGED',
  'NOT_CONNECTED',
  'NOT_READY',
  'ROUTER_NOT_TAKEN_OVER',
  'STOPPING',
  'STORE_FAILED',
]);

/** After these nobody knows whether the request was accepted: its token, sent again, tells. */
const UNSURE: ReadonlySet<string> = new Set<ErrorCode>([
  'CLIENT_CLOSED',
  'CLIENT_REPLACED',
  'KEY_REVOKED',
  'NOT_ACKNOWLEDGED',
  'NOT_CONNECTED',
  'WAIT_OVER',
]);

/** Whether what ended with `code` may be accepted when it is sent again later, as it is. */
export function isRetryable(code: string): boolean {
  return PASSING.has(code);
}

/** Whether, after a rejection with `code`, nobody knows if the request was accepted. Sending it again with its token tells. */
export function isUnsure(code: string): boolean {
  return UNSURE.has(code);
}

/** `data` of a refusal and of a terminal row of code 1. */
export interface ErrorData {
  error: string;
  message: string;
}

/** Values of an error, by name. */
export type ErrorValues = Readonly<Record<string, unknown>>;

/** An error of the table above. `code` is for programs, `message` for people; both go over the wire unchanged. */
export class CentreondError extends Error {
  override readonly name = 'CentreondError';
  // Private, so that it is no field of the log beside the sentence.
  readonly #details: ErrorValues;
  constructor(
    readonly code: string,
    message: string,
    { details = {}, ...options }: ErrorOptions & { readonly details?: ErrorValues } = {},
  ) {
    super(message, options);
    this.#details = details;
  }

  /**
   * What the sentence is about, as values: of an error that was made in this process what its code's sentence is told, such as
   * `{token, seconds}` of WAIT_OVER; of a router's refusal the `action` and `token` of the refused request; of the reason of a
   * request's signal its `token`. They do not travel: an error that came as data has none of its sentence's.
   */
  get details(): ErrorValues {
    return this.#details;
  }

  /** Whether the same request may be accepted when it is sent again later. */
  get retryable(): boolean {
    return isRetryable(this.code);
  }

  /** The shape in which this error travels. */
  toData(): ErrorData {
    return { error: this.code, message: this.message };
  }
}

/** Refusals that speak of the request that they refuse: passed on, they would be taken for its caller's fault. */
const OF_THE_REQUEST: ReadonlySet<string> = new Set([
  'MALFORMED_FRAME',
  'TOO_LARGE',
  'INVALID_DATA',
  'UNKNOWN_ACTION',
  'UNKNOWN_TARGET',
  'UNKNOWN_INSTANCE',
  'FORBIDDEN',
  'TOKEN_REUSED',
]);

/** What a plugin's own call met. `code` and `message` are the refusal's; a plugin that does not catch it ends CALL_REFUSED. */
export class CallRefusal extends CentreondError {
  constructor(
    readonly action: string,
    code: string,
    message: string,
    details: ErrorValues = { action },
  ) {
    super(code, message, { details });
  }

  /** As the end of the request whose plugin made the call. */
  asEnd(): CentreondError {
    const { action, code: error, message } = this;
    return OF_THE_REQUEST.has(error) ? failure('CALL_REFUSED', { action, error, message }) : this;
  }
}

/** Makes the error of `code` with its sentence filled in. Throws nothing itself; the caller throws or sends it. */
export function failure<C extends ErrorCode>(
  code: C,
  ...details: ErrorDetails<C> extends undefined ? [] : [ErrorDetails<C>]
): CentreondError {
  const sentence = SENTENCES[code] as (d?: unknown) => string;
  return new CentreondError(code, sentence(details[0]), { details: { ...details[0] } });
}

/** Whether `error` is one of this table's (also when it comes from another copy of this package). */
export function isCentreondError(error: unknown): error is CentreondError {
  return error instanceof Error && error.name === 'CentreondError' && 'code' in error && typeof error.code === 'string';
}

/** The text of anything thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
