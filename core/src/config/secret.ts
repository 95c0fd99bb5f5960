/** The `format` by which a plugin's config schema marks a string as a reference to a secret. */
export const SECRET_FORMAT = 'centreond-secret';

/** Whether `text` refers to a secret (`file:PATH` or `env:NAME`). */
export function isSecretReference(text: string): boolean {
  return /^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$/.test(text);
}
