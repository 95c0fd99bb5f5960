import type { z } from 'zod';

/** What is wrong with a value, as the rest of a sentence: each fault with the path to it, and not the value. */
export function faultsText({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`).join('; ');
}
