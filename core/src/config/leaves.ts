import { z } from 'zod';
import { describe } from '../words.ts';
import {
  DURATION_PATTERN,
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
  type Refusal,
  SIZE_PATTERN,
} from './units.ts';

/** What JSON Schema can say of a leaf, for editors. */
interface Hints {
  description: string;
  type?: 'string';
  pattern?: string;
  minLength?: number;
  maxLength?: number;
}

/** The problems of leaves; their sentences are made of `where` and `reason`. */
export type LeafCode =
  | 'CONFIG_BAD_ADDRESS'
  | 'CONFIG_BAD_DURATION'
  | 'CONFIG_BAD_FINGERPRINT'
  | 'CONFIG_BAD_IDENTITY'
  | 'CONFIG_BAD_SIZE'
  | 'CONFIG_BAD_VALUE';

/** What an issue of a leaf carries to `issues.ts`. */
export interface LeafIssue {
  problem: LeafCode;
  reason: string;
  expected: string;
}

/** A leaf of the file: `parse` gives its value or says what is wrong with it. */
export function leaf<T>(problem: LeafCode, expected: string, hints: Hints, parse: (value: unknown) => T | Refusal) {
  return z
    .unknown()
    .transform((value, context): T => {
      const parsed = value === undefined ? { refused: 'is missing' } : parse(value);
      if (typeof parsed === 'object' && parsed && 'refused' in parsed) {
        const params: LeafIssue = { problem, expected, reason: parsed.refused };
        context.addIssue({ code: 'custom', params });
        return z.NEVER;
      }
      return parsed;
    })
    .meta({ type: 'string', ...hints });
}

export const DAY = 86_400_000;
export const MIB = 1_048_576;
// What setTimeout takes; beyond it a timer fires at once.
const LONGEST_TIMER = 24 * DAY;

export function duration(description: string, { min = 1, max = LONGEST_TIMER }: { min?: number; max?: number } = {}) {
  return leaf('CONFIG_BAD_DURATION', 'a duration', { description, pattern: DURATION_PATTERN }, (value) =>
    within(parseDuration(value), min, max, formatDuration),
  );
}

export function size(description: string, min: number, max: number) {
  return leaf('CONFIG_BAD_SIZE', 'a size', { description, pattern: SIZE_PATTERN }, (value) =>
    within(parseSize(value), min, max, formatSize),
  );
}

function within(
  parsed: number | Refusal,
  min: number,
  max: number,
  format: (value: number) => string,
): number | Refusal {
  if (typeof parsed !== 'number') return parsed;
  if (parsed < min) return { refused: `must be at least ${format(min)}` };
  if (parsed > max) return { refused: `must be at most ${format(max)}` };
  return parsed;
}

/** A leaf that is text for which `accepts` holds. */
export function text(problem: LeafCode, expected: string, hints: Hints, accepts: (value: string) => boolean) {
  return leaf(problem, expected, hints, (value) =>
    typeof value === 'string' && accepts(value)
      ? value
      : {
          refused:
            problem === 'CONFIG_BAD_VALUE'
              ? `must be ${expected}, not ${describe(value)}`
              : `cannot be ${describe(value)}`,
        },
  );
}
