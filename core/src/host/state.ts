import { type CentreondError, failure, faultOf, type Json, MAX_ROW_DEPTH } from '@centreond/protocol';
import { Answer } from '../router/request.ts';
import type { StateStore } from '../store/token-store.ts';

const KEY_CHARACTERS = 255;
const VALUE_BYTES = 1024 * 1024;
const TYPE_BYTES = 64 * 1024 * 1024;
const PAGE_BYTES = 4 * 1024 * 1024;

/** What plugins keep. Each is asked for by the type of the plugin that asks, so nobody reaches another's. */
export class PluginState {
  readonly #store: StateStore;
  readonly #maxMessage: number;
  readonly #typeBytes: number;

  /** Answers are to fit into messages of `maxMessage` bytes; a type keeps `typeBytes` at most. */
  constructor(store: StateStore, maxMessage: number, typeBytes = TYPE_BYTES) {
    this.#store = store;
    this.#maxMessage = maxMessage;
    this.#typeBytes = typeBytes;
  }

  /** `{value}`, or `{}` where there is none. */
  async get(type: string, key: string): Promise<Answer> {
    const value = await this.#store.get(type, key);
    return this.#answer(value === undefined ? '{}' : `{"value":${value}}`);
  }

  /** Resolves when it is on disk. Rejects with INVALID_DATA for what is too large, STATE_FULL, or what the store says. */
  async set(type: string, key: string, value: Json | undefined): Promise<void> {
    const refuse = (reason: string): CentreondError => failure('INVALID_DATA', { action: 'SETSTATE', reason });
    if (key === '' || key.length > KEY_CHARACTERS || !key.isWellFormed()) {
      throw refuse(`its key must have 1 to ${KEY_CHARACTERS} characters of Unicode`);
    }
    if (value === undefined) throw refuse('its value is missing');
    const fault = faultOf(value, MAX_ROW_DEPTH);
    if (fault) throw refuse(`its value ${fault}`);
    const text = JSON.stringify(value);
    const bytes = Buffer.byteLength(text);
    if (bytes > VALUE_BYTES) {
      throw refuse(`the value of ${key} has ${bytes} bytes of JSON, and ${VALUE_BYTES} are allowed`);
    }
    await this.#store.set(type, { key, value: text }, this.#typeBytes);
  }

  /** Resolves when it is on disk; also where there was nothing. */
  delete(type: string, key: string): Promise<void> {
    return this.#store.delete(type, key);
  }

  /** `{entries, more}`: a page of those whose key starts with `prefix` and comes after `after`. */
  async list(type: string, prefix: string, after: string): Promise<Answer> {
    const pageBytes = Math.min(PAGE_BYTES, Math.floor(this.#maxMessage * 0.75));
    const { entries, more } = await this.#store.list(type, prefix, after, pageBytes);
    const texts = entries.map(({ key, value }) => `{"key":${JSON.stringify(key)},"value":${value}}`);
    return this.#answer(`{"entries":[${texts.join(',')}],"more":${more}}`);
  }

  // A value may be older than the limit of today.
  #answer(text: string): Answer {
    const limit = this.#maxMessage;
    const bytes = text.length > limit / 3 ? Buffer.byteLength(text) : 0;
    if (bytes > limit) throw failure('TOO_LARGE', { bytes, limit });
    return new Answer(text);
  }
}
