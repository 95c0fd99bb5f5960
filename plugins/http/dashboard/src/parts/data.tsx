import type { ComponentChildren } from 'preact';

/** Longer texts are cut until the reader asks for them. */
const LONGEST = 20_000;

/** A JSON value as people read it: an object by its keys, texts with their line breaks, the rest as JSON. Never as HTML. */
export function Data({ value }: { value: unknown }) {
  if (isObject(value)) {
    const entries = Object.entries(value);
    if (entries.length === 0) return <p class="quiet">empty</p>;
    return (
      <dl class="data">
        {entries.map(([key, each]) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd>
              <Value value={each} />
            </dd>
          </div>
        ))}
      </dl>
    );
  }
  return <Value value={value} />;
}

function Value({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span class="quiet">none</span>;
  if (typeof value === 'string') {
    if (value === '') return <span class="quiet">empty</span>;
    return value.includes('\n') ? <Output>{value}</Output> : <span class="value">{cut(value)}</span>;
  }
  if (typeof value === 'object') {
    const short = JSON.stringify(value);
    return short.length <= 160 ? <code>{short}</code> : <Output>{JSON.stringify(value, undefined, 2)}</Output>;
  }
  return <span class="value">{String(value)}</span>;
}

/** Text as a terminal shows it, in a box that scrolls. */
export function Output({ children }: { children: string }) {
  const shown: ComponentChildren = cut(children);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
    <pre class="output" tabIndex={0}>
      {shown}
    </pre>
  );
}

function cut(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}\n… ${text.length - LONGEST} more characters`;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
