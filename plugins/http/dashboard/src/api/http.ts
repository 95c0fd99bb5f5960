import type * as z from 'zod/mini';
import { Failure } from './shapes.ts';

/** A refusal of the router, with its sentence. `status` is 0 if no answer came. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** What was thrown, as a sentence. */
export function sentenceOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

export interface Ask {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** The HTTP API of the router, asked with one token. Paths are relative to the page. */
export class Api {
  constructor(
    private readonly secret: string,
    /** Called when the router no longer takes the token. */
    private readonly onRefused: (message: string) => void,
  ) {}

  get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.secret}` };
  }

  /** Resolves with the answer, read by `shape`. Rejects with an {@link ApiError}, and with the reason of `signal`. */
  async ask<T extends z.ZodMiniType>(path: string, shape: T, { method = 'GET', body, signal }: Ask = {}) {
    const response = await this.#fetch(`api/${path}`, {
      method,
      headers: { ...this.headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    if (!response.ok) throw await this.refusalOf(response);
    const read = shape.safeParse(await response.json());
    if (read.success) return read.data as z.output<T>;
    const [issue] = read.error.issues;
    const where = issue ? `${issue.path.join('.') || 'the whole answer'}` : 'the answer';
    throw new ApiError(
      200,
      'UNKNOWN_ANSWER',
      `The router answered ${path} in a form that this page does not know (${where}). Reload the page: it may be older than the router.`,
    );
  }

  /** The error of a response that is none of 2xx. */
  async refusalOf(response: Response): Promise<ApiError> {
    const text = await response.text();
    const read = Failure.safeParse(jsonOf(text));
    const error = read.success
      ? new ApiError(response.status, read.data.error, read.data.message)
      : new ApiError(response.status, 'HTTP', `The router answered with HTTP status ${response.status}.`);
    if (response.status === 401) this.onRefused(error.message);
    return error;
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(path, { ...init, cache: 'no-store' });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError(
        0,
        'NO_ANSWER',
        'The router does not answer. It may be stopped or restarting, or the network is down.',
      );
    }
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
