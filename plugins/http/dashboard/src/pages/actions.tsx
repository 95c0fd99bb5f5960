import type { DeclaredAction } from '../api/shapes.ts';
import { Badge } from '../parts/marks.tsx';
import { Empty, Loading } from '../parts/notices.tsx';
import { Filter, Page } from '../parts/page.tsx';
import { hrefOf } from '../state/address.ts';
import { goTo } from '../state/place.ts';
import { useCallable } from '../state/use-live.ts';

/** The actions that can be called, by plugin: the operator's plugins first, the router's own last. */
export function ActionsPage({ query }: { query: Readonly<Record<string, string>> }) {
  const plugins = useCallable();
  const { q = '', on = '' } = query;
  const words = q.toLowerCase().split(/\s+/);
  const isMeant = (type: string, { name, title }: DeclaredAction) => {
    const text = `${type} ${name} ${title}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const ordered = [...plugins].sort((a, b) => Number(a.type === 'core') - Number(b.type === 'core'));
  const shown = ordered
    .map(({ type, title, actions }) => ({ type, title, actions: actions.filter((action) => isMeant(type, action)) }))
    .filter(({ actions }) => actions.length > 0);
  return (
    <Page
      title="Call an action"
      below={
        <>
          <Filter
            label="Filter actions"
            value={q}
            onInput={(text) => goTo(hrefOf(['call'], { ...query, q: text }), { instead: true })}
          />
          {on !== '' && (
            <span class="quiet">on {on.split(',').length === 1 ? on : `${on.split(',').length} nodes`}</span>
          )}
        </>
      }
    >
      {plugins.length === 0 && <Loading what="the actions" />}
      {plugins.length > 0 && shown.length === 0 && (
        <Empty title="No action matches the filter, or none is for this token.">
          <a href="#/call">Show all actions</a>
        </Empty>
      )}
      {shown.map(({ type, title, actions }) => (
        <section key={type}>
          <h2>
            {type} <span class="quiet">{title}</span>
          </h2>
          <ul class="actions">
            {actions.map((action) => (
              <li key={action.name}>
                <a href={hrefOf(['call', action.name], { on })}>{action.name}</a>
                <span>{action.title}</span>
                <Effects effects={action.effects} />
              </li>
            ))}
          </ul>
        </section>
      ))}
    </Page>
  );
}

/** What an action does to the world. */
export function Effects({ effects }: { effects: string }) {
  const mark = effects === 'destructive' ? 'warning' : effects === 'read' ? 'idle' : 'step';
  return <Badge mark={mark}>{effects}</Badge>;
}
