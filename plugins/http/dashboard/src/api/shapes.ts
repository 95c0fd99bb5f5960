import * as z from 'zod/mini';

// Without this zod tries whether it may evaluate code, which the content security policy forbids and reports.
z.config({ jitless: true });

const Figure = z.nullable(z.number());
const Text = z.nullable(z.string());
const Some = <T extends z.ZodMiniType>(schema: T, fallback: z.output<T>) => z.catch(schema, () => fallback);
const Json = z.record(z.string(), z.unknown());

export const WhoAmI = z.object({
  name: z.string(),
  identity: z.string(),
  roles: z.array(z.string()),
  router: z.object({ id: z.string(), version: Some(z.string(), '') }),
});
export type WhoAmI = z.output<typeof WhoAmI>;

export const NodeState = z.enum(['up', 'connecting', 'unreachable']);
export type NodeState = z.output<typeof NodeState>;

const Node = z.object({
  id: z.string(),
  name: Some(z.string(), ''),
  kind: Some(z.string(), ''),
  state: NodeState,
  reason: Some(Text, null),
  address: Some(Text, null),
  labels: Some(z.record(z.string(), z.string()), {}),
  lastPing: Some(Figure, null),
  lastPong: Some(Figure, null),
  roundTripMs: Some(Figure, null),
  clockSkewSeconds: Some(Figure, null),
  cursor: Some(Figure, null),
  version: Some(Text, null),
  actions: Some(z.array(z.string()), []),
  subnodes: Some(z.array(z.string()), []),
  sharedBy: Some(z.array(z.string()), []),
  router: Some(Text, null),
});
export type Node = z.output<typeof Node>;
export const Nodes = z.object({ nodes: z.array(Node) });

const Router = z.object({
  id: z.string(),
  endpoint: Some(z.string(), ''),
  version: Some(z.string(), ''),
  state: z.string(),
  startedAt: Some(Figure, null),
  silentSeconds: Some(z.number(), 0),
  self: Some(z.boolean(), false),
  open: Some(z.number(), 0),
  nodes: Some(z.number(), 0),
  nats: Some(z.boolean(), false),
});
export type Router = z.output<typeof Router>;
export const Routers = z.object({
  cluster: Text,
  natsAway: Some(Text, null),
  clockSkewSeconds: Some(z.number(), 0),
  routers: z.array(Router),
});
export type Cluster = z.output<typeof Routers>;
/** A router by itself. */
export const NO_CLUSTER: Cluster = { cluster: null, natsAway: null, clockSkewSeconds: 0, routers: [] };

const Health = Some(z.nullable(z.object({ state: z.string(), why: z.optional(z.string()) })), null);
const Instance = z.object({
  id: z.string(),
  pid: Some(Figure, null),
  state: z.string(),
  restarts: Some(z.number(), 0),
  inFlight: Some(z.number(), 0),
  p50Ms: Some(Figure, null),
  p99Ms: Some(Figure, null),
  rss: Some(Figure, null),
  health: Health,
});
export type Instance = z.output<typeof Instance>;
const RunningPlugin = z.object({
  type: z.string(),
  package: Some(z.string(), ''),
  version: Some(z.string(), ''),
  state: z.string(),
  health: Health,
  metrics: Some(z.array(z.object({ name: z.string(), kind: z.string(), title: z.string(), value: z.number() })), []),
  waiting: Some(z.number(), 0),
  instances: Some(z.array(Instance), []),
  actions: Some(z.array(z.object({ name: z.string(), finished: z.number(), failed: z.number() })), []),
});
export type RunningPlugin = z.output<typeof RunningPlugin>;
export const Status = z.object({
  id: z.string(),
  version: z.string(),
  time: z.optional(z.number()),
  uptimeSeconds: z.number(),
  plugins: z.array(RunningPlugin),
  counters: z.object({
    received: Some(z.number(), 0),
    accepted: Some(z.number(), 0),
    refused: Some(z.number(), 0),
    open: Some(z.number(), 0),
    store: Some(z.object({ rows: Some(z.number(), 0), bytes: Some(z.number(), 0), maxBytes: Some(Figure, null) }), {
      rows: 0,
      bytes: 0,
      maxBytes: null,
    }),
  }),
});
export type Status = z.output<typeof Status>;

const DeclaredAction = z.object({
  name: z.string(),
  title: Some(z.string(), ''),
  description: z.optional(z.string()),
  input: Json,
  access: Some(z.array(z.string()), []),
  effects: Some(z.string(), 'destructive'),
  idempotent: Some(z.boolean(), false),
  timeoutSeconds: Some(Figure, null),
  reply: Some(z.enum(['row', 'ack']), 'row'),
  runs: z.optional(z.string()),
});
export type DeclaredAction = z.output<typeof DeclaredAction>;
const DeclaredPlugin = z.object({
  type: z.string(),
  title: Some(z.string(), ''),
  actions: z.array(DeclaredAction),
  codes: Some(z.record(z.string(), z.number()), {}),
  codeTitles: Some(z.record(z.string(), z.string()), {}),
});
export type DeclaredPlugin = z.output<typeof DeclaredPlugin>;
export const Plugins = z.object({ plugins: z.array(DeclaredPlugin) });

const Request = z.object({
  id: z.number(),
  token: z.string(),
  owner: z.string(),
  action: z.string(),
  target: Some(z.string(), ''),
  acceptedAt: z.number(),
  endedAt: Some(Figure, null),
  code: Some(Figure, null),
  error: Some(Text, null),
  router: Some(Text, null),
  data: z.unknown(),
});
export type Request = z.output<typeof Request>;
export const Requests = z.object({ requests: z.array(Request), more: Some(z.boolean(), false) });

export const Row = z.object({
  id: z.number(),
  token: z.string(),
  type: z.string(),
  node: z.string(),
  code: z.number(),
  etime: z.number(),
  ctime: z.number(),
  data: z.unknown(),
});
export type Row = z.output<typeof Row>;

const Key = z.object({
  state: z.string(),
  fingerprint: z.optional(z.string()),
  identity: z.optional(z.string()),
  roles: Some(z.array(z.string()), []),
  at: z.optional(z.number()),
  until: z.optional(z.number()),
  by: z.optional(z.string()),
  firstSeen: z.optional(z.number()),
  lastSeen: z.optional(z.number()),
  lastAddress: z.optional(z.string()),
  count: z.optional(z.number()),
});
export type Key = z.output<typeof Key>;
export const Keys = z.object({ keys: z.array(Key) });
export type KeyList = z.output<typeof Keys>;

export const Happened = z.looseObject({
  id: z.union([z.number(), z.string()]),
  time: z.number(),
  kind: z.string(),
  text: Some(z.string(), ''),
});
export type Happened = z.output<typeof Happened>;
export const Happenings = z.object({ events: z.array(Happened), last: z.number() });

/** What a call answers: the token at least where the action writes rows; else the answer itself. */
export const Called = z.object({
  token: z.string(),
  ok: z.optional(z.boolean()),
  code: z.optional(z.number()),
  data: z.optional(z.unknown()),
});
export type Called = z.output<typeof Called>;
export const Answer = z.unknown();
export const Cancelled = z.object({ token: z.string(), ok: z.optional(z.boolean()) });
export const Failure = z.object({ error: z.string(), message: z.string() });
