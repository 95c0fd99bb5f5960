import { z } from 'zod';

/** A token's name is the caller's: NAME in http/NAME. */
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/;
const LISTEN = /^(?:\[[0-9A-Fa-f:.%]+\]|[^:\s[\]]+):\d{1,5}$/;
const ORIGIN = /^https?:\/\/[^/\s]+$/;

const Path = z.string().min(1).meta({ format: 'centreond-path' });
const Secret = z.string().min(1).meta({ format: 'centreond-secret' });

const Token = z.strictObject({
  name: z.string().regex(NAME).describe('Who calls with it: the identity http/NAME.'),
  secret: Secret.describe('What the caller shows: file:PATH or env:NAME, 16 characters at least.'),
  roles: z
    .array(z.enum(['client', 'admin']))
    .min(1)
    .default(['client'])
    .describe('What it may do.'),
  actions: z
    .array(z.string())
    .describe('The actions that it may call; all that its roles allow if omitted.')
    .exactOptional(),
  targets: z.array(z.string()).describe('The nodes that it may reach; all if omitted.').exactOptional(),
});
export type Token = z.output<typeof Token>;

export const Config = z.strictObject({
  listen: z
    .string()
    .regex(LISTEN, 'must be host:port')
    .default('127.0.0.1:8085')
    .describe('host:port; [::]:8085 is all.'),
  tls: z
    .strictObject({ cert: Path.describe('The certificates as PEM.'), key: Path.describe('Its private key as PEM.') })
    .describe('Serves HTTPS.')
    .exactOptional(),
  tokens: z
    .array(Token)
    .max(1000)
    .refine((tokens) => new Set(tokens.map(({ name }) => name)).size === tokens.length, 'a name occurs twice')
    .default([])
    .describe('Who may call; without one only /healthz and /readyz answer.'),
  allowedOrigins: z
    .array(z.string().regex(ORIGIN, 'must be like https://ops.example'))
    .default([])
    .describe('Pages of other origins that may call from a browser.'),
  trustedProxies: z
    .array(z.string())
    .default([])
    .describe('Addresses or networks (10.0.0.0/8) of proxies whose X-Forwarded-For names the caller.'),
  bodyLimit: z
    .int()
    .min(1024)
    .max(16 * 1024 * 1024)
    .default(1024 * 1024)
    .describe('Bytes of a request body.'),
  traces: z
    .strictObject({
      endpoint: z.url({ protocol: /^https?$/ }).describe('Takes OTLP over HTTP: http://127.0.0.1:4318/v1/traces.'),
    })
    .describe('Sends OpenTelemetry traces of the requests that come by HTTP.')
    .exactOptional(),
});
export type Config = z.output<typeof Config>;

/** Host and port of `listen`. */
export function addressOf(listen: string): { host: string; port: number } {
  const colon = listen.lastIndexOf(':');
  return { host: listen.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(listen.slice(colon + 1)) };
}
