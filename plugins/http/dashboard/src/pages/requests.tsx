import { useEffect, useState } from 'preact/hooks';
import { Empty, Fault, Loading } from '../parts/notices.tsx';
import { Filter, Page, Segments } from '../parts/page.tsx';
import { type RequestFilters, SPANS, tokenIn } from '../requests/filters.ts';
import { RequestTable, useRequests } from '../requests/table.tsx';
import { hrefOf } from '../state/address.ts';
import { goTo } from '../state/place.ts';
import { useStore } from '../state/store.ts';
import { useLive, useNow } from '../state/use-live.ts';

const LIMIT = 100;
const STATES = [
  { value: '', label: 'All' },
  { value: 'open', label: 'Open' },
  { value: 'finished', label: 'Finished' },
  { value: 'failed', label: 'Failed' },
];

/** What was asked, by whom, and how it ended. */
export function RequestsPage({ query }: { query: Readonly<Record<string, string>> }) {
  const now = useNow();
  const { state = '', owner = '', action = '', node = '', since = '', before = '' } = query;
  const filters: RequestFilters = { state, owner, action, node, since, before };
  const { value, error } = useRequests(filters, LIMIT);
  const change = (more: Record<string, string>) =>
    goTo(hrefOf(['requests'], { ...query, before: '', ...more }), { instead: true });
  const isFiltered = [state, owner, action, node, since, before].some((each) => each !== '');
  const last = value?.requests.at(-1);
  return (
    <Page
      title="Requests"
      below={
        <>
          <GoToToken />
          <Segments label="State" value={state} options={STATES} onPick={(next) => change({ state: next })} />
          <Fields query={query} onChange={change} />
          {isFiltered && (
            <a class="button small" href="#/requests">
              Clear filters
            </a>
          )}
        </>
      }
    >
      <Fault error={error} />
      {!value && error === undefined && <Loading what="the requests" />}
      {value && value.requests.length === 0 && !isFiltered && (
        <Empty title="Nothing was asked yet.">
          <a href="#/call">Call an action</a>
        </Empty>
      )}
      {value && value.requests.length === 0 && isFiltered && (
        <Empty title="No request matches these filters.">
          <a href="#/requests">Show all requests</a>
        </Empty>
      )}
      {value && value.requests.length > 0 && <RequestTable requests={value.requests} now={now} />}
      <nav class="pager" aria-label="Pages">
        {before !== '' && (
          <a class="button" href={hrefOf(['requests'], { ...query, before: '' })}>
            Newest
          </a>
        )}
        {value?.more && last && (
          <a class="button" href={hrefOf(['requests'], { ...query, before: String(last.id) })}>
            Older
          </a>
        )}
      </nav>
    </Page>
  );
}

/** A token that was pasted leads to its request. */
function GoToToken() {
  const [text, setText] = useState('');
  const go = (event: Event) => {
    event.preventDefault();
    const token = tokenIn(text);
    if (token !== undefined) goTo(hrefOf(['requests', token]));
  };
  return (
    <form class="inline" onSubmit={go}>
      <Filter label="Go to a token" value={text} onInput={setText} />
    </form>
  );
}

interface FieldsProps {
  readonly query: Readonly<Record<string, string>>;
  onChange(more: Record<string, string>): void;
}

function Fields({ query, onChange }: FieldsProps) {
  const plugins = useStore(useLive().declared);
  const names = plugins.flatMap(({ actions }) =>
    actions.filter(({ reply }) => reply === 'row').map(({ name }) => name),
  );
  const text = (name: string, label: string, list?: string) => (
    <TextFilter label={label} list={list} value={query[name] ?? ''} onChange={(value) => onChange({ [name]: value })} />
  );
  return (
    <>
      {text('action', 'Action', 'action-names')}
      <datalist id="action-names">
        {names.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      {text('node', 'Node')}
      {text('owner', 'Who')}
      <label class="field-inline">
        <span>When</span>
        <select value={query.since ?? ''} onChange={({ currentTarget }) => onChange({ since: currentTarget.value })}>
          {SPANS.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
    </>
  );
}

interface TextFilterProps {
  readonly label: string;
  readonly value: string;
  readonly list: string | undefined;
  onChange(value: string): void;
}

/** A text that filters once it is complete: after Enter, or when one leaves it. */
function TextFilter({ label, value, list, onChange }: TextFilterProps) {
  // What is being typed is kept here: the page is drawn again each second.
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  return (
    <label class="field-inline">
      <span>{label}</span>
      <input
        type="text"
        spellcheck={false}
        autocomplete="off"
        list={list}
        value={typed}
        onInput={({ currentTarget }) => setTyped(currentTarget.value)}
        onChange={({ currentTarget }) => onChange(currentTarget.value.trim())}
      />
    </label>
  );
}
