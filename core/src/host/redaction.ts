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

  /** `text` with `[secret]` where a secret was. JSON stays JSON. */
  text(text: string): string {
    return this.#forms.reduce((left, form) => left.replaceAll(form, SHOWN), text);
  }
}

/** What stands for `text` between the quotes of a JSON string. */
function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
