import type { RunningPlugin } from '../api/shapes.ts';
import { bytesText, countText, durationText, msText, shortNumber } from '../format.ts';
import { BYTE_STEPS, Chart } from '../parts/chart.tsx';
import { Badge, pluginMark } from '../parts/marks.tsx';
import { Loading } from '../parts/notices.tsx';
import { Figure, Page } from '../parts/page.tsx';
import { hrefOf } from '../state/address.ts';
import { highest, ratesOf, type Sample, total, valuesOf } from '../state/figures.ts';
import { useStore } from '../state/store.ts';
import { useLive } from '../state/use-live.ts';

const rate = (value: number) => `${shortNumber(value)}/s`;
const all = (sample: Sample) => Object.values(sample.plugins);

/** What runs here, with figures since the page was opened. */
export function PluginsPage() {
  const live = useLive();
  const status = useStore(live.status);
  const samples = useStore(live.samples);
  if (!status) {
    return (
      <Page title="Plugins">
        <Loading what="what runs here" />
      </Page>
    );
  }
  const at = samples.map((sample) => sample.at);
  const { counters, uptimeSeconds, version, plugins } = status;
  return (
    <Page title="Plugins">
      <dl class="figures">
        <Figure name="Version">{version}</Figure>
        <Figure name="Up for">{durationText(uptimeSeconds)}</Figure>
        <Figure name="Accepted">{countText(counters.accepted)}</Figure>
        <Figure name="Refused">{countText(counters.refused)}</Figure>
        <Figure name="Open">{countText(counters.open)}</Figure>
        <Figure name="History">
          {bytesText(counters.store.bytes)}
          {counters.store.maxBytes !== null && <span class="quiet"> of {bytesText(counters.store.maxBytes)}</span>}
        </Figure>
      </dl>
      <div class="charts">
        <Chart
          title="Requests"
          at={at}
          format={rate}
          lines={[
            { name: 'accepted', values: ratesOf(samples, (sample) => sample.accepted) },
            { name: 'with reads', values: ratesOf(samples, (sample) => sample.received) },
          ]}
        />
        <Chart
          title="Slowest plugin"
          at={at}
          format={msText}
          lines={[
            { name: 'p50', values: valuesOf(samples, (sample) => highest(all(sample).map(({ p50Ms }) => p50Ms))) },
            { name: 'p99', values: valuesOf(samples, (sample) => highest(all(sample).map(({ p99Ms }) => p99Ms))) },
          ]}
        />
        <Chart
          title="At once"
          at={at}
          format={shortNumber}
          lines={[
            {
              name: 'in flight',
              values: valuesOf(samples, (sample) => total(all(sample).map(({ inFlight }) => inFlight))),
            },
            { name: 'open', values: valuesOf(samples, ({ open }) => open) },
          ]}
        />
        <Chart
          title="Memory"
          at={at}
          format={bytesText}
          steps={BYTE_STEPS}
          lines={[
            { name: 'resident', values: valuesOf(samples, (sample) => total(all(sample).map(({ rss }) => rss))) },
          ]}
        />
      </div>
      <PluginTable plugins={plugins} />
    </Page>
  );
}

function PluginTable({ plugins }: { plugins: readonly RunningPlugin[] }) {
  return (
    <table class="rows cards">
      <caption class="hidden-label">Plugins</caption>
      <thead>
        <tr>
          <th scope="col">Plugin</th>
          <th scope="col">State</th>
          <th scope="col">Version</th>
          <th scope="col">Instances</th>
          <th scope="col">In flight</th>
          <th scope="col">Waiting</th>
          <th scope="col">p50</th>
          <th scope="col">p99</th>
          <th scope="col">Memory</th>
          <th scope="col">Failed</th>
        </tr>
      </thead>
      <tbody>
        {plugins.map(({ type, state, health, version, instances, waiting, actions }) => {
          const [p50, p99] = [highest(instances.map((i) => i.p50Ms)), highest(instances.map((i) => i.p99Ms))];
          const rss = total(instances.map((i) => i.rss));
          const failed = actions.reduce((sum, each) => sum + each.failed, 0);
          return (
            <tr key={type}>
              <th scope="row">
                <a href={hrefOf(['plugins', type])}>{type}</a>
              </th>
              <td data-label="State">
                <Badge mark={pluginMark(state, health)}>{health && health.state !== 'ok' ? health.state : state}</Badge>
                {health?.why !== undefined && <div class="reason">{health.why}</div>}
              </td>
              <td data-label="Version">{version}</td>
              <td data-label="Instances" class="number">
                {instances.length}
              </td>
              <td data-label="In flight" class="number">
                {countText(instances.reduce((sum, each) => sum + each.inFlight, 0))}
              </td>
              <td data-label="Waiting" class="number">
                {countText(waiting)}
              </td>
              <td data-label="p50" class="number">
                {p50 === null ? '' : msText(p50)}
              </td>
              <td data-label="p99" class="number">
                {p99 === null ? '' : msText(p99)}
              </td>
              <td data-label="Memory" class="number">
                {rss === null ? '' : bytesText(rss)}
              </td>
              <td data-label="Failed" class="number">
                {countText(failed)}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
