import { countText } from '../format.ts';

export const PAGE_ROWS = 100;

/** The part of a list that page `page` shows, and the page that there is. */
export function pageOf<T>(all: readonly T[], page: number): { shown: readonly T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(all.length / PAGE_ROWS));
  const at = Math.min(Math.max(1, page), pages);
  return { shown: all.slice((at - 1) * PAGE_ROWS, at * PAGE_ROWS), page: at, pages };
}

export interface PagerProps {
  readonly page: number;
  readonly pages: number;
  readonly count: number;
  onPage(page: number): void;
}

/** Goes through the pages of a list; not there if all is on one. */
export function Pager({ page, pages, count, onPage }: PagerProps) {
  if (pages === 1) return null;
  const from = (page - 1) * PAGE_ROWS + 1;
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" disabled={page === 1} onClick={() => onPage(page - 1)}>
        Previous
      </button>
      <span>
        {countText(from)} to {countText(Math.min(count, page * PAGE_ROWS))} of {countText(count)}
      </span>
      <button type="button" disabled={page === pages} onClick={() => onPage(page + 1)}>
        Next
      </button>
    </nav>
  );
}
