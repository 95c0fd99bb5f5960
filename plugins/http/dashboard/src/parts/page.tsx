import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

export interface PageProps {
  readonly title: string;
  /** What stands at the right of the title. */
  readonly tools?: ComponentChildren;
  /** A line below the title. */
  readonly below?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A page with its heading, which is focused when one comes to it, so that a screen reader begins there. */
export function Page({ title, tools, below, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · centreond`;
  }, [title]);
  useEffect(() => {
    if (document.activeElement === document.body) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div class="page">
      <div class="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {tools && <div class="tools">{tools}</div>}
      </div>
      {below && <div class="page-below">{below}</div>}
      {children}
    </div>
  );
}

export interface FilterProps {
  readonly label: string;
  readonly value: string;
  readonly hint?: string;
  onInput(value: string): void;
}

/** The filter of a page. The key / focuses it, Escape empties it. */
export function Filter({ label, value, hint, onInput }: FilterProps) {
  return (
    <label class="filter">
      <span class="hidden-label">{label}</span>
      <input
        type="search"
        data-filter
        placeholder={label}
        title={hint}
        value={value}
        spellcheck={false}
        autocomplete="off"
        onInput={({ currentTarget }) => onInput(currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') onInput('');
        }}
      />
      <span class="key" aria-hidden="true">
        /
      </span>
    </label>
  );
}

export interface SegmentsProps<T extends string> {
  readonly label: string;
  readonly value: T;
  readonly options: readonly { readonly value: T; readonly label: ComponentChildren }[];
  onPick(value: T): void;
}

/** One of a few. */
export function Segments<T extends string>({ label, value, options, onPick }: SegmentsProps<T>) {
  return (
    <fieldset class="segments">
      <legend class="hidden-label">{label}</legend>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          onClick={() => onPick(option.value)}
        >
          {option.label}
        </button>
      ))}
    </fieldset>
  );
}

/** A figure with its name. */
export function Figure({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
