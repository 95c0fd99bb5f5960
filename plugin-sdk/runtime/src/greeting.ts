import type { Readable } from 'node:stream';
import { failure, type JsonObject, parseJson, reasonOf } from '@centreond/protocol';
import type { RowBound } from './row-window.ts';

/**
 * What the host tells its child, as one line of JSON on the child's standard input, before anything else. The stream
 * then stays open for the life of the host: its end tells the child that the host is gone.
 */
export interface Greeting {
  readonly api: number;
  /** The internal door. */
  readonly endpoint: string;
  /** Proves to the door, once, which instance this process is. */
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
}

const GREETING_LIMIT_BYTES = 1 << 20;

/** Reads the greeting, then calls `hostGone` once when the stream ends. Throws where the line is no greeting. */
export function readGreeting(input: Readable, hostGone: () => void): Promise<Greeting> {
  return new Promise((resolve, reject) => {
    let text = '';
    let greeted = false;
    input.setEncoding('utf8');
    input.on('data', (chunk: string) => {
      if (greeted) return;
      text += chunk;
      const end = text.indexOf('\n');
      if (end < 0 && text.length < GREETING_LIMIT_BYTES) return;
      greeted = true;
      try {
        resolve(parseJson(text.slice(0, end)) as Greeting);
      } catch (error) {
        reject(failure('INVALID_PLUGIN', { plugin: 'started by hand', reason: `no greeting: ${reasonOf(error)}` }));
      }
    });
    input.once('close', hostGone);
    input.once('end', hostGone);
    input.once('error', hostGone);
  });
}
