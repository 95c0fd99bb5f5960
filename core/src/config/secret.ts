import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { inspect } from 'node:util';
import { reasonOf } from '@centreond/plugin-sdk';
import { fault } from '../errors.ts';

/** What a reference to a secret looks like, for editors. */
export const SECRET_PATTERN = '^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$';

/** The `format` by which a plugin's config schema marks a string as a reference to a secret. */
export const SECRET_FORMAT = 'centreond-secret';

const REFERENCE = new RegExp(SECRET_PATTERN);

/** A secret's value. Printed, logged or made JSON of, it shows only where it came from. */
export class Secret {
  readonly #value: string;
  constructor(
    readonly reference: string,
    value: string,
  ) {
    this.#value = value;
  }

  /** The value itself. Hand it to what needs it and keep no copy. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return `[secret ${this.reference}]`;
  }
  toJSON(): string {
    return this.toString();
  }
  [inspect.custom](): string {
    return this.toString();
  }
}

/** Whether `text` refers to a secret (`file:PATH` or `env:NAME`). */
export function isSecretReference(text: string): boolean {
  return REFERENCE.test(text);
}

/**
 * Reads the secret that `reference` names; a relative PATH is relative to `folder`, the folder of the file that holds the
 * reference. One line break at the end of a file is not part of the secret. Throws SECRET_MALFORMED or SECRET_UNREADABLE;
 * neither repeats a malformed reference, since it may be the secret itself.
 */
export async function resolveSecret(
  reference: string,
  folder: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Secret> {
  if (!isSecretReference(reference)) throw fault('SECRET_MALFORMED', { where: 'The value' });
  const name = reference.slice(reference.indexOf(':') + 1);
  const value = reference.startsWith('env:') ? environment[name] : await readSecret(reference, resolve(folder, name));
  if (value === undefined)
    throw fault('SECRET_UNREADABLE', { reference, reason: 'the environment variable is not set' });
  if (value === '') throw fault('SECRET_UNREADABLE', { reference, reason: 'it is empty' });
  return new Secret(reference, value);
}

async function readSecret(reference: string, file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw fault('SECRET_UNREADABLE', { reference, reason: reasonOf(error) }, { cause: error });
  }
}
