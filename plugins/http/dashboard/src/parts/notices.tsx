import type { ComponentChildren } from 'preact';
import { ApiError, sentenceOf } from '../api/http.ts';
import { MarkIcon } from './marks.tsx';

/** What failed, in the server's words. */
export function Fault({ error, children }: { error: unknown; children?: ComponentChildren }) {
  if (error === undefined) return null;
  return (
    <div class="notice notice-bad" role="alert">
      <MarkIcon mark="failed" />
      <div>
        <p>{sentenceOf(error)}</p>
        {error instanceof ApiError && <p class="quiet">{error.code}</p>}
        {children}
      </div>
    </div>
  );
}

/** Says that there is nothing, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children && <p>{children}</p>}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p class="quiet loading" role="status">
      Loading {what}…
    </p>
  );
}
