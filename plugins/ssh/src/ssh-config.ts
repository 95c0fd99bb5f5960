import { NODE_FIELDS } from '@centreond/carrying';
import { z } from 'zod';

const DAY_SECONDS = 86_400;
const ADDRESS = /^(?:\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?$/;

const ELSEWHERE = 'a daemon is a node of the plugin proxy (@centreond/plugin-proxy), under its nodes or by ADDNODE';

const KeyFile = z
  .string()
  .min(1)
  .refine((path) => path.startsWith('/'), 'must be an absolute path where it is not of the config file')
  .meta({ format: 'private-key' });
const Secret = z
  .string()
  // No pattern: by the format the core says what a secret has to be.
  .refine((text) => /^(?:file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$/.test(text), 'must be file:PATH or env:NAME')
  .refine((text) => !text.startsWith('file:') || text.startsWith('file:/'), 'must be file: and an absolute path')
  .meta({ format: 'centreond-secret-reference' });

/** An SSH node as the operator writes it. */
export const SshConfig = z
  .strictObject({
    ...NODE_FIELDS,
    type: z
      .literal('ssh', `must be ssh; ${ELSEWHERE}`)
      .default('ssh')
      .describe(`a machine behind SSH, the only type here; ${ELSEWHERE}`),
    address: z
      .string()
      .regex(ADDRESS, 'must be host:port, or host for port 22')
      .describe('host:port of its SSH server; port 22 if omitted'),
    user: z.string().min(1).max(255).describe('the account to run as'),
    key: KeyFile.exactOptional().describe('the private key, a file'),
    passphrase: Secret.exactOptional().describe('what the key is encrypted with, as file:PATH or env:NAME'),
    password: Secret.exactOptional().describe("the account's password, as file:PATH or env:NAME"),
    hostKey: z
      .string()
      .regex(/^SHA256:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]$/, 'must be SHA256:… as `ssh-keygen -lf` prints it')
      .describe("the fingerprint of the server's host key, as `ssh-keygen -lf` prints it"),
    roots: z
      .array(z.string().regex(/^\/[^\0]*$/, 'must be an absolute path'))
      .max(100)
      .default([])
      .describe('the folders there below which SENDFILES may write; nowhere if omitted'),
    timeoutSeconds: z
      .number()
      .positive()
      .max(DAY_SECONDS)
      .default(60)
      .describe('how long a command may run when the request does not say'),
    maxTimeoutSeconds: z
      .number()
      .positive()
      .max(DAY_SECONDS)
      .exactOptional()
      .describe('the longest that a request may ask for; an hour, or timeoutSeconds where that is more'),
  })
  .refine(({ key, password }) => key !== undefined || password !== undefined, 'must have a key, a password, or both')
  // The same for `centreond check`.
  .meta({ anyOf: [{ required: ['key'] }, { required: ['password'] }] });

export type SshConfig = z.output<typeof SshConfig>;

/** Host and port of an {@link SshConfig.address}. */
export function endpointOf(address: string): { host: string; port: number } {
  const [, v6, host = v6 ?? address, port = '22'] = ADDRESS.exec(address) ?? [];
  return { host, port: Number(port) };
}
