import { bytesText, countText, msText, shortNumber } from '../format.ts';
import { BYTE_STEPS, Chart } from '../parts/chart.tsx';
import { Badge, pluginMark } from '../parts/marks.tsx';
import { Empty, Loading } from '../parts/notices.tsx';
import { Figure, Page } from '../parts/page.tsx';
import { InstanceTable } from '../plugins/instances.tsx';
import { LastExits } from '../plugins/why.tsx';
import { hrefOf } from '../state/address.ts';
import { ratesOf, type Sample, valuesOf } from '../state/figures.ts';
import { useIsAdmin } from '../state/session.ts';
import { useStore } from '../state/store.ts';
import { useCallable, useLive } from '../state/use-live.ts';

const rate = (value: number) => `${shortNumber(value)}/s`;

/** One plugin: its figures, processes and actions. */
export function PluginPage({ type }: { type: string }) {
  const live = useLive();
  const isAdmin = useIsAdmin();
  const status = useStore(live.status);
  const samples = useStore(live.samples);
  const declared = useStore(live.declared).find((each) => each.type === type);
  const callable = new Set(useCallable().flatMap(({ actions }) => actions.map(({ name }) => name)));
  const plugin = status?.plugins.find((each) => each.type === type);
  if (!status || !plugin) {
    return (
      <Page title={type}>
        {status ? (
          <Empty title={`No plugin ${type} is loaded here.`}>
            <a href="#/plugins">Show all plugins</a>
          </Empty>
        ) : (
          <Loading what="the plugin" />
        )}
      </Page>
    );
  }
  const at = samples.map((sample) => sample.at);
  const of = (sample: Sample) => sample.plugins[type];
  const { state, health, version, instances, waiting, metrics, actions } = plugin;
  return (
    <Page title={type} below={declared && <p class="quiet">{declared.title}</p>}>
      <dl class="figures">
        <Figure name="State">
          <Badge mark={pluginMark(state, health)}>{state}</Badge>
        </Figure>
        {health && <Figure name="Health">{health.state}</Figure>}
        <Figure name="Package">{plugin.package}</Figure>
        <Figure name="Version">{version}</Figure>
        <Figure name="Waiting">{countText(waiting)}</Figure>
      </dl>
      {health?.why !== undefined && <p class="notice notice-bad">{health.why}</p>}
      <div class="charts">
        <Chart
          title="Requests"
          at={at}
          format={rate}
          lines={[{ name: 'ended', values: ratesOf(samples, (sample) => of(sample)?.ended ?? null) }]}
        />
        <Chart
          title="Slowest instance"
          at={at}
          format={msText}
          lines={[
            { name: 'p50', values: valuesOf(samples, (sample) => of(sample)?.p50Ms ?? null) },
            { name: 'p99', values: valuesOf(samples, (sample) => of(sample)?.p99Ms ?? null) },
          ]}
        />
        <Chart
          title="At once"
          at={at}
          format={shortNumber}
          lines={[{ name: 'in flight', values: valuesOf(samples, (sample) => of(sample)?.inFlight ?? null) }]}
        />
        <Chart
          title="Memory"
          at={at}
          format={bytesText}
          steps={BYTE_STEPS}
          lines={[{ name: 'resident', values: valuesOf(samples, (sample) => of(sample)?.rss ?? null) }]}
        />
      </div>
      <section>
        <h2>Instances</h2>
        {instances.length === 0 ? (
          <Empty title="No instance runs.">One starts with the next request for it.</Empty>
        ) : (
          <InstanceTable type={type} instances={instances} />
        )}
        {isAdmin && type !== 'core' && <LastExits type={type} />}
      </section>
      {metrics.length > 0 && (
        <section>
          <h2>Its own figures</h2>
          <dl class="figures">
            {metrics.map(({ name, title, value }) => (
              <Figure key={name} name={title}>
                {countText(value)}
              </Figure>
            ))}
          </dl>
        </section>
      )}
      <section>
        <h2>Actions</h2>
        <table class="rows cards">
          <caption class="hidden-label">Actions of {type}</caption>
          <thead>
            <tr>
              <th scope="col">Action</th>
              <th scope="col">What it does</th>
              <th scope="col">Effects</th>
              <th scope="col">Finished</th>
              <th scope="col">Failed</th>
            </tr>
          </thead>
          <tbody>
            {actions.map(({ name, finished, failed }) => {
              const action = declared?.actions.find((each) => each.name === name);
              return (
                <tr key={name}>
                  <th scope="row">{callable.has(name) ? <a href={hrefOf(['call', name])}>{name}</a> : name}</th>
                  <td data-label="What it does">{action?.title}</td>
                  <td data-label="Effects">{action?.effects}</td>
                  <td data-label="Finished" class="number">
                    {countText(finished)}
                  </td>
                  <td data-label="Failed" class="number">
                    {failed > 0 ? (
                      <a href={hrefOf(['requests'], { action: name, state: 'failed' })}>{countText(failed)}</a>
                    ) : (
                      '0'
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
    </Page>
  );
}
