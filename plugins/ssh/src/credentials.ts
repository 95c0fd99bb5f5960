import { readFile } from 'node:fs/promises';
import { reasonOf } from '@centreond/plugin-sdk';
import type { AnyAuthMethod, ParsedKey } from 'ssh2';
import type { SshConfig } from './ssh-config.ts';

/**
 * How to prove who we are, in the order of the tries. Read again for each connection, so that what changed on disk counts, and
 * kept nowhere. Rejects with an Error whose message is a clause that names the reference and never its value.
 */
export async function credentialsOf({
  user: username,
  key,
  passphrase,
  password,
}: SshConfig): Promise<AnyAuthMethod[]> {
  const methods: AnyAuthMethod[] = [];
  if (key !== undefined) {
    const secret = passphrase === undefined ? undefined : await secretOf(passphrase);
    methods.push({ type: 'publickey', username, key: await privateKeyOf(key, secret) });
  }
  if (password !== undefined) {
    const secret = await secretOf(password);
    methods.push({ type: 'password', username, password: secret });
    // What many servers offer in its place.
    methods.push({
      type: 'keyboard-interactive',
      username,
      prompt: (_name, _instructions, _language, prompts, finish) =>
        finish(prompts.map(({ echo }) => (echo ? '' : secret))),
    });
  }
  return methods;
}

async function privateKeyOf(file: string, passphrase: string | undefined): Promise<ParsedKey> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new Error(`its key ${file} cannot be read: ${reasonOf(error)}`);
  });
  const { utils } = (await import('ssh2')).default;
  const parsed = utils.parseKey(text, passphrase);
  if (parsed instanceof Error) {
    const encrypted = /encrypted|passphrase/i.test(parsed.message) && passphrase === undefined;
    throw new Error(
      encrypted
        ? `its key ${file} is encrypted and the node has no passphrase`
        : `its key ${file} cannot be used: ${parsed.message}`,
    );
  }
  if (!parsed.isPrivateKey()) throw new Error(`its key ${file} is a public one`);
  return parsed;
}

async function secretOf(reference: string): Promise<string> {
  const name = reference.slice(reference.indexOf(':') + 1);
  const value = reference.startsWith('env:') ? process.env[name] : await secretIn(name, reference);
  if (value === undefined)
    throw new Error(
      `the secret ${reference} cannot be read: the environment variable is not set for this plugin; ` +
        `set it for the daemon if the plugin's config names it, else in \`env\` of the plugin's entry`,
    );
  if (value === '') throw new Error(`the secret ${reference} is empty`);
  return value;
}

async function secretIn(file: string, reference: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw new Error(`the secret ${reference} cannot be read: ${reasonOf(error)}`);
  }
}
