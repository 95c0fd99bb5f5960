import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { reasonOf } from '@centreond/protocol';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The value of a secret, or what is wrong with what a reference names: the rest of a sentence, which never holds the value. */
export type SecretOrReason = { readonly value: string } | { readonly reason: string; readonly isUnset?: true };

/** Whether a text names a secret instead of being one. */
export function isReference(text: string): boolean {
  return /^(file|env):/.test(text);
}

const LARGEST_BYTES = 64 * 1024;
/** Others may do nothing with the file of a secret, and its group may not change it. */
const TOO_OPEN = 0o027;

/** Reads what `reference` names: `file:PATH`, less the line break at its end, or `env:NAME`. Never throws. */
export function readSecret(reference: string, environment: Environment): SecretOrReason {
  const at = reference.indexOf(':');
  const [kind, name] = [reference.slice(0, at), reference.slice(at + 1)];
  if (kind === 'file') return readFile(name);
  if (kind !== 'env') return { reason: 'is neither file:PATH nor env:NAME' };
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  if (value === undefined)
    return {
      reason: "is not set in the daemon's environment; set it there (EnvironmentFile= in a systemd unit)",
      isUnset: true,
    };
  return value === '' ? { reason: 'is empty; give it a value' } : { value };
}

function readFile(file: string): SecretOrReason {
  let handle: number;
  try {
    // Not to wait for a pipe's other end.
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing) return { reason: "does not exist; write it, with the daemon's user as its owner and mode 0600" };
    return { reason: `cannot be read (${reasonOf(error)}); let the daemon's user read it` };
  }
  try {
    const found = fstatSync(handle);
    if (!found.isFile()) return { reason: 'is not a file' };
    if ((found.mode & TOO_OPEN) !== 0) {
      const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
      return {
        reason: `is open to others (mode ${mode}); set its mode to 0600, or to 0640 for a group that may read it`,
      };
    }
    if (found.size > LARGEST_BYTES) return { reason: `has ${found.size} bytes; the limit is ${LARGEST_BYTES}` };
    const value = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(handle)).replace(/\r?\n$/, '');
    return value === '' ? { reason: 'is empty; write the secret into it' } : { value };
  } catch (error) {
    return { reason: `cannot be read (${reasonOf(error)})` };
  } finally {
    closeSync(handle);
  }
}
