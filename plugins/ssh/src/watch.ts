import { randomBytes } from 'node:crypto';
import type { ClientChannel } from 'ssh2';

const HELLO_LIMIT_MS = 15_000;
/** What a login shell may say before ours speaks. */
const CHATTER_CHARACTERS = 64 * 1024;

/** What the watch has seen of the other side. */
export interface Sight {
  readonly hostname: string;
  /** Whole seconds since the epoch. */
  lastPing?: number;
  lastPong?: number;
  roundTripMs?: number;
  clockSkewSeconds?: number;
}

/**
 * A shell on the other side that answers questions: it costs no process there, and what it answers a stalled machine cannot.
 * Only one question is open at a time.
 */
export class Watch {
  readonly sight: Sight;
  readonly #channel: ClientChannel;
  readonly #mark: string;
  readonly #onAnswer: () => void;
  #asked: { at: number; word: string } | undefined;
  #line = '';

  private constructor(channel: ClientChannel, mark: string, hostname: string, onAnswer: () => void) {
    this.#channel = channel;
    this.#mark = mark;
    this.#onAnswer = onAnswer;
    this.sight = { hostname };
    channel.on('data', (bytes: Buffer) => this.#read(bytes));
  }

  /** Takes a channel in which /bin/sh starts and reads its script. Rejects with an Error whose message is a clause. */
  static start(channel: ClientChannel, onAnswer: () => void): Promise<Watch> {
    const mark = randomBytes(12).toString('hex');
    channel.stderr.resume();
    return new Promise((resolve, reject) => {
      let text = '';
      const limit = setTimeout(() => fail('did not start /bin/sh'), HELLO_LIMIT_MS);
      const fail = (what: string) => {
        clearTimeout(limit);
        const said = text.trim();
        reject(new Error(said === '' ? what : `${what}; it said: ${said.slice(0, 200)}`));
      };
      const onClose = () => fail('ended the login shell at once');
      const onData = (bytes: Buffer) => {
        text = (text + bytes.toString()).slice(-CHATTER_CHARACTERS);
        const hello = new RegExp(`${mark} hello ([^\\n]*)\\n`).exec(text);
        if (!hello) return;
        clearTimeout(limit);
        channel.off('data', onData);
        channel.off('close', onClose);
        resolve(new Watch(channel, mark, (hello[1] as string).trim().slice(0, 255), onAnswer));
      };
      channel.on('data', onData);
      channel.on('close', onClose);
      channel.write(scriptOf(mark));
    });
  }

  /** Asks for a sign of life; `clock`: for the time there, too. Nothing where the last one is still awaited. */
  ask(clock: boolean): void {
    if (this.#asked) return;
    const word = clock ? 'clock' : 'ping';
    const at = Date.now();
    this.#asked = { at, word };
    this.sight.lastPing = Math.floor(at / 1000);
    this.#channel.write(`${word}\n`);
  }

  #read(bytes: Buffer): void {
    const lines = (this.#line + bytes.toString('latin1')).split('\n');
    this.#line = (lines.pop() as string).slice(-CHATTER_CHARACTERS);
    for (const line of lines) {
      const [mark, word, seconds] = line.split(' ');
      if (mark === this.#mark && word === this.#asked?.word) this.#answered(Number(seconds));
    }
  }

  #answered(seconds: number): void {
    const asked = this.#asked as { at: number; word: string };
    this.#asked = undefined;
    const now = Date.now();
    this.sight.lastPong = Math.floor(now / 1000);
    const took = now - asked.at;
    if (asked.word === 'clock') {
      const skew = skewOf(seconds, asked.at, now);
      if (skew !== undefined) this.sight.clockSkewSeconds = skew;
    } else this.sight.roundTripMs = took;
    this.#onAnswer();
  }
}

/**
 * How far a clock that showed `seconds`, cut to whole ones, between `from` and `to` (ms) is ahead of ours; undefined where the
 * answer took too long to tell. Less than what can be told is 0.
 */
export function skewOf(seconds: number, from: number, to: number): number | undefined {
  if (!Number.isSafeInteger(seconds) || to - from > 2000) return undefined;
  const ahead = seconds + 0.5 - (from + to) / 2000;
  return Math.abs(ahead) <= 0.5 + (to - from) / 2000 ? 0 : Math.round(ahead);
}

function scriptOf(mark: string): string {
  return `{
printf '%s hello %s\\n' ${mark} "$(uname -n)"
while read -r word
do
  case $word in
    ping) printf '%s ping\\n' ${mark} ;;
    clock) printf '%s clock %s\\n' ${mark} "$(date +%s)" ;;
  esac
done
exit
}
`;
}
