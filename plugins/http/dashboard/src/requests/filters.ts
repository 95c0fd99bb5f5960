/** The filters of the requests page, as its address has them. */
export interface RequestFilters {
  readonly state?: string;
  readonly owner?: string;
  readonly action?: string;
  readonly node?: string;
  /** How far back: `1h`. */
  readonly since?: string;
  readonly token?: string;
  readonly before?: string;
}

export const SPANS = [
  { value: '', label: 'Any time', seconds: 0 },
  { value: '15m', label: 'Last 15 min', seconds: 900 },
  { value: '1h', label: 'Last hour', seconds: 3600 },
  { value: '24h', label: 'Last 24 h', seconds: 86_400 },
  { value: '7d', label: 'Last 7 d', seconds: 604_800 },
] as const;

/** The query of GET /api/requests for filters, at the second `now`. Empty filters are left out. */
export function queryOf(filters: RequestFilters, limit: number, now: number): string {
  const { since, ...rest } = filters;
  const query = new URLSearchParams({ limit: String(limit) });
  for (const [name, value] of Object.entries(rest)) if (value) query.set(name, value);
  const span = SPANS.find(({ value }) => value === since)?.seconds ?? 0;
  if (span > 0) query.set('since', String(now - span));
  return query.toString();
}

const TOKEN = /^[A-Za-z0-9._:-]{1,255}$/;

/** The token in what was pasted into the search box; undefined if that is none. */
export function tokenIn(text: string): string | undefined {
  const token = text.trim();
  return TOKEN.test(token) ? token : undefined;
}
