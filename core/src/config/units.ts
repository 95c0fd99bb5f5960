/** What a value lacks, as the predicate of a sentence. */
export interface Refusal {
  refused: string;
}

const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_UNITS: Record<string, number> = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 };

/** What a duration looks like, for editors. */
export const DURATION_PATTERN = '^[0-9]+(ms|s|m|h|d)$';
/** What a size looks like, for editors. */
export const SIZE_PATTERN = '^[0-9]+(B|KiB|MiB|GiB)$';

/** Milliseconds of a duration: a whole number and ms, s, m, h or d. */
export function parseDuration(value: unknown): number | Refusal {
  return parseUnit(value, DURATION_UNITS, '30s');
}

/** Bytes of a size: a whole number and B, KiB, MiB or GiB. */
export function parseSize(value: unknown): number | Refusal {
  return parseUnit(value, SIZE_UNITS, '16MiB');
}

/** The shortest exact way to write so many milliseconds. */
export function formatDuration(milliseconds: number): string {
  return formatUnit(milliseconds, DURATION_UNITS);
}

/** The shortest exact way to write so many bytes. */
export function formatSize(bytes: number): string {
  return formatUnit(bytes, SIZE_UNITS);
}

function parseUnit(value: unknown, units: Record<string, number>, example: string): number | Refusal {
  if (typeof value === 'number') return { refused: `has no unit: ${value}` };
  if (typeof value !== 'string') return { refused: `must be text such as ${example}` };
  const match = /^([0-9]+)([A-Za-z]+)$/.exec(value);
  const unit = match?.[2];
  if (match === null || unit === undefined || !Object.hasOwn(units, unit))
    return { refused: `cannot be ${JSON.stringify(value)}` };
  const total = Number(match[1]) * (units[unit] as number);
  return Number.isSafeInteger(total) ? total : { refused: `is too large: ${value}` };
}

function formatUnit(total: number, units: Record<string, number>): string {
  let best = '';
  for (const [unit, factor] of Object.entries(units))
    if (best === '' || (total > 0 && total % factor === 0)) best = `${total / factor}${unit}`;
  return best;
}
