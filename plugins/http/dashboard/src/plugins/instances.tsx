import type { Instance } from '../api/shapes.ts';
import { bytesText, countText, msText } from '../format.ts';
import { Badge, pluginMark } from '../parts/marks.tsx';
import { hrefOf } from '../state/address.ts';
import { useIsAdmin } from '../state/session.ts';

/** The processes of a plugin. */
export function InstanceTable({ type, instances }: { type: string; instances: readonly Instance[] }) {
  const canKill = useIsAdmin() && type !== 'core';
  return (
    <table class="rows cards">
      <caption class="hidden-label">Instances of {type}</caption>
      <thead>
        <tr>
          <th scope="col">Instance</th>
          <th scope="col">State</th>
          <th scope="col">Process</th>
          <th scope="col">Restarts</th>
          <th scope="col">In flight</th>
          <th scope="col">p50</th>
          <th scope="col">p99</th>
          <th scope="col">Memory</th>
          {canKill && (
            <th scope="col">
              <span class="hidden-label">Change</span>
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {instances.map(({ id, state, health, pid, restarts, inFlight, p50Ms, p99Ms, rss }) => (
          <tr key={id}>
            <th scope="row">{id}</th>
            <td data-label="State">
              <Badge mark={pluginMark(state, health)}>{state}</Badge>
              {health?.why !== undefined && <div class="reason">{health.why}</div>}
            </td>
            <td data-label="Process" class="number">
              {pid}
            </td>
            <td data-label="Restarts" class="number">
              {countText(restarts)}
            </td>
            <td data-label="In flight" class="number">
              {countText(inFlight)}
            </td>
            <td data-label="p50" class="number">
              {p50Ms !== null && msText(p50Ms)}
            </td>
            <td data-label="p99" class="number">
              {p99Ms !== null && msText(p99Ms)}
            </td>
            <td data-label="Memory" class="number">
              {rss !== null && bytesText(rss)}
            </td>
            {canKill && (
              <td>
                <a class="button small danger" href={hrefOf(['call', 'KILL'], { data: JSON.stringify({ type, id }) })}>
                  End it…
                </a>
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
