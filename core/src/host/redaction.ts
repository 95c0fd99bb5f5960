import { formatMessage, parseData, parseJson, parseReply } from '@centreond/protocol';

/** Shorter ones would take too much away from what says nothing of them. */
const SHORTEST = 4;
/** Of the lines of a secret that has several. */
const SHORTEST_LINE = 8;
const SHOWN = '[secret]';

/** Takes a plugin's secrets out of texts of that plugin: as they are, as JSON and a URL hold them, and line by line. */
export class Redaction {
  readonly #forms: readonly string[];

  /** Secrets of fewer than four characters are not looked for. */
  constructor(secrets: readonly string[]) {
    const forms = secrets.flatMap((secret) => {
      const lines = secret.split(/\r?\n/).filter((line) => line.length >= SHORTEST_LINE);
      return [secret, ...lines].flatMap((text) => [
        text,
        escaped(text),
        escaped(escaped(text)),
        encodeURIComponent(text.toWellFormed()),
      ]);
    });
    const distinct = [...new Set(forms)].filter((form) => form.length >= SHORTEST);
    // A form may hold another.
    this.#forms = distinct.sort((a, b) => b.length - a.length);
  }

  /** `text` with `[secret]` where a secret was. */
  text(text: string): string {
    return this.#forms.reduce((left, form) => left.replaceAll(form, SHOWN), text);
  }

  /**
   * JSON text with `[secret]` in its strings where a secret was: in those under the key `only`, or in all but those under `error`,
   * which are codes. Keys and numbers stay. Text that is not JSON is treated as {@link text} does.
   */
  json(text: string, only?: string): string {
    if (!this.#forms.some((form) => text.includes(form))) return text;
    let value: unknown;
    try {
      value = parseJson(text);
    } catch {
      return this.text(text);
    }
    return JSON.stringify(this.#value(value, only === undefined, only));
  }

  #value(value: unknown, isRedacted: boolean, only: string | undefined): unknown {
    if (typeof value === 'string') return isRedacted ? this.text(value) : value;
    if (Array.isArray(value)) return value.map((item) => this.#value(item, isRedacted, only));
    if (typeof value !== 'object' || value === null) return value;
    const isShown = (key: string) => (only === undefined ? key !== 'error' : isRedacted || key === only);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#value(item, isShown(key), only)]));
  }
}

/** What stands for `text` between the quotes of a JSON string. */
function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** A message on nodes that a plugin carries: without secrets in the reasons of their states, and in refusals of their requests. */
export function shownOf(message: string, redaction: Redaction): string {
  const { action, token, target, data } = parseReply(message);
  if (action === 'ANNOUNCE') return formatMessage(action, token, target, redaction.json(data, 'reason'));
  const { code } = parseData(data);
  return code === 0 ? message : formatMessage(action, token, target, redaction.json(data));
}
