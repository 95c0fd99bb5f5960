import type { Readable } from 'node:stream';
import { type CentreondError, failure, type JsonObject, parseJson, reasonOf } from '@centreond/protocol';
import type { RowBound } from './row-window.ts';

/**
 * What the host tells its child of a plugin that it is to run, as one line of JSON on the child's standard input: one line, or one for
 * each plugin that shares the process. The stream stays open for the life of the host: its end tells the child that the host is gone.
 */
export interface Greeting {
  readonly api: number;
  /** The internal door. */
  readonly endpoint: string;
  /** Proves to the door, once, which instance this plugin is. */
  readonly ticket: string;
  /** The absolute path of the plugin's entry. */
  readonly main: string;
  readonly type: string;
  /** The type that the config gives it in place of the one that its package declares. */
  readonly as?: string;
  /** The instance's id: its key, or `1`…`n` in a pool. */
  readonly instance: string;
  readonly config: JsonObject;
  readonly maxMessage: number;
  /** What the host says STORED for; without it, it says nothing and rows are not held. */
  readonly rowBound?: RowBound;
  /** If plugins share the process: the number that marks the lines that this one writes. */
  readonly seat?: number;
}

/** What comes by the standard input. */
export interface GreetingEvents {
  greeted(greeting: Greeting): void;
  /** A line is no greeting; nothing further is read. */
  malformed(error: CentreondError): void;
  /** The stream has ended. May be called more than once. */
  hostGone(): void;
}

const GREETING_LIMIT_BYTES = 1 << 20;

/** Reads greetings for as long as the stream lasts. */
export function readGreetings(input: Readable, { greeted, malformed, hostGone }: GreetingEvents): void {
  let text = '';
  let failed = false;
  const take = (line: string): void => {
    try {
      greeted(parseJson(line) as Greeting);
    } catch (error) {
      failed = true;
      malformed(failure('INVALID_PLUGIN', { plugin: 'started by hand', reason: `no greeting: ${reasonOf(error)}` }));
    }
  };
  input.setEncoding('utf8');
  input.on('data', (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf('\n'); end >= 0 && !failed; end = text.indexOf('\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      take(line);
    }
    if (text.length >= GREETING_LIMIT_BYTES && !failed) take(text);
  });
  input.once('close', hostGone);
  input.once('end', hostGone);
  input.once('error', hostGone);
}
