import { hrefOf } from '../state/address.ts';
import { useCallable } from '../state/use-live.ts';
import { compareIds } from './fleet.ts';

/** The actions of a node, each with its form if the router here knows it. */
export function NodeActions({ id, names }: { id: string; names: readonly string[] }) {
  const callable = new Set(useCallable().flatMap(({ actions }) => actions.map(({ name }) => name)));
  const shown = [...names].filter((name) => callable.has(name)).sort(compareIds);
  const others = names.length - shown.length;
  return (
    <section>
      <h2>Actions</h2>
      <p class="links">
        {shown.map((name) => (
          <a key={name} href={hrefOf(['call', name], { on: id })}>
            {name}
          </a>
        ))}
        {others > 0 && <span class="quiet">and {others} that are not declared here, or not for this token</span>}
      </p>
    </section>
  );
}
