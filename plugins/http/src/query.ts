import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { refusal } from './failure.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `30s`, `500ms`, `2h`: milliseconds. */
export const Duration = z
  .string()
  .regex(/^\d{1,9}(ms|s|m|h|d)$/, 'a duration is a number and ms, s, m, h or d, such as 30s')
  .transform((text) => {
    const [, number, unit = 'ms'] = /^(\d+)(\w+)$/.exec(text) ?? [];
    return Number(number) * (UNITS[unit] ?? 1);
  });

export const Whole = z
  .string()
  .regex(/^\d{1,15}$/, 'a whole number is needed')
  .transform(Number);

/** The query of `request` by `schema`. Throws INVALID_QUERY, which names each key. */
export function queryOf<Output>(request: FastifyRequest, schema: z.ZodType<Output>): Output {
  const read = schema.safeParse(request.query);
  if (read.success) return read.data;
  const reason = read.error.issues
    .map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
    .join('; ');
  throw refusal('INVALID_QUERY', { reason });
}

/** A parameter of the path; it is there, since the route has it. */
export function partOf({ params }: FastifyRequest, name: string): string {
  return String((params as Record<string, unknown>)[name]);
}
