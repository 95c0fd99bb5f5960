import type { JsonObject } from '@centreond/plugin-sdk';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { z } from 'zod';
import type { ClusterFigures } from './cluster.ts';

const Figure = z.number().nullish();
const Instance = z.object({
  id: z.string(),
  state: z.string(),
  restarts: z.number(),
  inFlight: z.number(),
  rss: Figure,
});
const Action = z.object({ name: z.string() }).catchall(z.unknown());
const Information = z.object({
  id: z.string(),
  version: z.string(),
  uptimeSeconds: z.number(),
  plugins: z.array(
    z.object({
      type: z.string(),
      state: z.string(),
      waiting: z.number(),
      instances: z.array(Instance),
      actions: z.array(Action),
      metrics: z.array(z.object({ name: z.string(), kind: z.string(), value: z.number() })),
    }),
  ),
  counters: z.record(z.string(), z.unknown()),
});
const Nodes = z.object({
  nodes: z.array(
    z.object({
      id: z.string(),
      state: z.string(),
      kind: z.string().optional(),
      roundTripMs: Figure,
      clockSkewSeconds: Figure,
    }),
  ),
});

/** Counters of INFORMATION that only go up; the others are gauges. */
const TOTALS = new Set(['received', 'accepted', 'refused', 'signatures', 'droppedRows', 'wrongMoves']);

/** Requests that came by HTTP, for Prometheus. */
export class HttpMetrics {
  readonly registry = new Registry();
  readonly #requests = new Counter({
    name: 'centreond_http_requests_total',
    help: 'Requests that came by HTTP, by route and status.',
    labelNames: ['method', 'route', 'status'],
    registers: [this.registry],
  });
  readonly #seconds = new Histogram({
    name: 'centreond_http_request_duration_seconds',
    help: 'How long the answers of requests by HTTP took, streams left out.',
    labelNames: ['method', 'route'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers: [this.registry],
  });

  answered(method: string, route: string, status: number, seconds: number): void {
    this.#requests.inc({ method, route, status });
    this.#seconds.observe({ method, route }, seconds);
  }
}

/** What the router tells of itself, its fleet and its cluster, as Prometheus's text. Throws if it tells something else. */
export function routerMetrics(
  information: JsonObject,
  constatus: JsonObject,
  cluster?: ClusterFigures,
): Promise<string> {
  const { id, version, uptimeSeconds, plugins, counters } = Information.parse(information);
  const { nodes } = Nodes.parse(constatus);
  const registry = new Registry();
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Gauge<L>({ name: `centreond_${name}`, help, labelNames, registers: [registry] });
  gauge('info', 'Which router this is; always 1.', 'router', 'version').set({ router: id, version }, 1);
  gauge('uptime_seconds', 'Since when the daemon runs.').set(uptimeSeconds);
  for (const [name, value] of Object.entries(counters)) {
    if (typeof value !== 'number') continue;
    const metric = snake(name);
    const help = `The counter ${name} of INFORMATION.`;
    if (TOTALS.has(name)) {
      new Counter({ name: `centreond_requests_${metric}_total`, help, registers: [registry] }).inc(value);
    } else gauge(metric, help).set(value);
  }
  const ready = gauge('plugin_ready', 'Whether the plugin serves.', 'plugin');
  const waiting = gauge('plugin_waiting_requests', 'Requests that wait for the plugin.', 'plugin');
  const own = gauge('plugin_metric', 'The metrics that plugins declare themselves.', 'plugin', 'name', 'kind');
  const inFlight = gauge('instance_running_requests', 'Requests that the process runs.', 'plugin', 'instance');
  const restarts = gauge('instance_restarts', 'How often the process was started again.', 'plugin', 'instance');
  const memory = gauge('instance_memory_bytes', 'Resident memory of the process.', 'plugin', 'instance');
  const figures = gauge('action_figure', 'What the router measured of an action.', 'action', 'figure');
  for (const { type: plugin, state, waiting: queued, instances, metrics, actions } of plugins) {
    ready.set({ plugin }, state === 'ready' ? 1 : 0);
    waiting.set({ plugin }, queued);
    for (const { name, kind, value } of metrics) own.set({ plugin, name, kind }, value);
    for (const { id: instance, inFlight: running, restarts: restarted, rss } of instances) {
      inFlight.set({ plugin, instance }, running);
      restarts.set({ plugin, instance }, restarted);
      if (typeof rss === 'number') memory.set({ plugin, instance }, rss);
    }
    for (const { name: action, ...told } of actions) {
      for (const [figure, value] of Object.entries(told)) {
        if (typeof value === 'number') figures.set({ action, figure: snake(figure) }, value);
      }
    }
  }
  const up = gauge('node_up', 'Whether the node is reached.', 'node', 'kind', 'state');
  const roundTrip = gauge('node_round_trip_seconds', 'How long the node takes to answer.', 'node');
  const skew = gauge('node_clock_skew_seconds', 'How far the clock of the node is ahead.', 'node');
  for (const { id: node, state, kind = '', roundTripMs, clockSkewSeconds } of nodes) {
    up.set({ node, kind, state }, state === 'up' ? 1 : 0);
    if (typeof roundTripMs === 'number') roundTrip.set({ node }, roundTripMs / 1000);
    if (typeof clockSkewSeconds === 'number') skew.set({ node }, clockSkewSeconds);
  }
  if (cluster) {
    const { name, isNatsUp, clockSkewSeconds } = cluster;
    const routers = gauge('cluster_routers', 'The routers of the cluster in this state.', 'cluster', 'state');
    for (const [state, count] of cluster.routers) routers.set({ cluster: name, state }, count);
    gauge('cluster_nats_up', 'Whether this router reaches NATS.', 'cluster').set({ cluster: name }, isNatsUp ? 1 : 0);
    gauge('cluster_clock_skew_seconds', 'How far the clock of the database is ahead of this machine.', 'cluster').set(
      { cluster: name },
      clockSkewSeconds,
    );
  }
  return registry.metrics();
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/[^a-z0-9_]/g, '_');
}
