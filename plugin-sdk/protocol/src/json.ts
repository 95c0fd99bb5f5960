import type { Json, JsonObject } from './frame.ts';

/**
 * The value of JSON text. Throws a SyntaxError as `JSON.parse` does, which misreads a key with an escape if another object of
 * the process has a like one with a backslash: `"a\n"` becomes `a\` (nodejs/node#63785). Texts with such keys are read here.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return hasEscapedKey(text) ? new Reader(text).value() : value;
}

/** The position of the quote that ends the string opened at `from`, or -1. */
export function stringEnd(text: string, from: number): number {
  let at = text.indexOf('"', from + 1);
  if (at < 0) return -1;
  let slashes = at;
  while (text.charCodeAt(slashes - 1) === BACKSLASH) slashes--;
  if ((at - slashes) % 2 === 0) return at;
  // One escaped quote may be followed by millions: a search for each takes ten times as long as reading on.
  for (at++; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === BACKSLASH) at++;
    else if (c === QUOTE) return at;
  }
  return -1;
}

/** The position of the first character from `at` on that is no space. */
export function skipSpaces(text: string, at: number): number {
  let i = at;
  let c = text.charCodeAt(i);
  while (c === 32 || c === 9 || c === 10 || c === 13) c = text.charCodeAt(++i);
  return i;
}

const BACKSLASH = 92;
const QUOTE = 34;
const COLON = 58;
const COMMA = 44;

/** Whether a key of JSON text is written with an escape. */
function hasEscapedKey(text: string): boolean {
  let slash = text.indexOf('\\');
  if (slash < 0) return false;
  for (let from = text.indexOf('"'); from >= 0; ) {
    const end = stringEnd(text, from);
    if (slash < end && text.charCodeAt(skipSpaces(text, end + 1)) === COLON) return true;
    if (slash < end) {
      slash = text.indexOf('\\', end);
      if (slash < 0) return false;
    }
    from = text.indexOf('"', end + 1);
  }
  return false;
}

/** Reads JSON text that `JSON.parse` has taken. */
class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  value(): Json {
    this.#at = skipSpaces(this.text, this.#at);
    switch (this.text[this.#at]) {
      case '{':
        return this.#object();
      case '[':
        return this.#list();
      case '"':
        return this.#string();
      default:
        return this.#scalar();
    }
  }

  #object(): Json {
    const object: JsonObject = {};
    while (this.#hasNext('}')) {
      const key = this.#string();
      this.#at = skipSpaces(this.text, this.#at) + 1;
      // Not assigned: `__proto__` is a key like others here.
      Object.defineProperty(object, key, { value: this.value(), writable: true, enumerable: true, configurable: true });
    }
    return object;
  }

  #list(): Json[] {
    const list: Json[] = [];
    while (this.#hasNext(']')) list.push(this.value());
    return list;
  }

  /** Goes to the next member of an object or list, or behind its end. */
  #hasNext(end: '}' | ']'): boolean {
    this.#at = skipSpaces(this.text, this.#at);
    const isFirst = this.text.charCodeAt(this.#at) !== COMMA;
    if (this.text[this.#at] === end) {
      this.#at++;
      return false;
    }
    // Before the first member stands the bracket, before another one a comma.
    this.#at = skipSpaces(this.text, this.#at + 1);
    if (!isFirst || this.text[this.#at] !== end) return true;
    this.#at++;
    return false;
  }

  #string(): string {
    const end = stringEnd(this.text, this.#at);
    const text = this.text.slice(this.#at, end + 1);
    this.#at = end + 1;
    return JSON.parse(text) as string;
  }

  #scalar(): Json {
    const from = this.#at;
    while (this.#at < this.text.length && !' \t\n\r,]}'.includes(this.text[this.#at] as string)) this.#at++;
    return JSON.parse(this.text.slice(from, this.#at)) as Json;
  }
}
