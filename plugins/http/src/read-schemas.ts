/** JSON Schemas of what the routes that read answer. An answer may have more. */

const TEXT = { type: 'string' };
const COUNT = { type: 'integer', minimum: 0 };
const orNull = (type: string, description: string) => ({ type: [type, 'null'], description });

const listOf = (name: string, items: object, more: object = {}) => ({
  type: 'object',
  required: [name, ...Object.keys(more)],
  properties: { [name]: { type: 'array', items }, ...more },
});

export const NODES = listOf('nodes', {
  type: 'object',
  required: ['id', 'state'],
  properties: {
    id: TEXT,
    name: TEXT,
    kind: TEXT,
    state: { enum: ['up', 'connecting', 'unreachable'] },
    reason: orNull('string', 'Why it is not up.'),
    address: orNull('string', 'Where it is linked from or to.'),
    labels: { type: 'object', additionalProperties: TEXT },
    version: orNull('string', 'Of its daemon.'),
    router: { type: 'string', description: 'The router of the cluster that carries it, where that is another one.' },
    actions: { type: 'array', items: TEXT },
    subnodes: { type: 'array', items: TEXT },
  },
});

export const REQUESTS = listOf(
  'requests',
  {
    type: 'object',
    required: ['id', 'token', 'owner', 'action', 'acceptedAt'],
    properties: {
      id: { type: 'integer' },
      token: TEXT,
      owner: TEXT,
      action: TEXT,
      target: { type: 'string', description: 'The node; empty for the router.' },
      acceptedAt: { type: 'integer', description: 'Seconds since the epoch.' },
      endedAt: orNull('integer', 'Seconds since the epoch; null while it is open.'),
      code: orNull('integer', '2 finished, 1 failed.'),
      error: orNull('string', 'The code of the error with which it failed.'),
      router: {
        type: 'string',
        description: 'The router of the cluster at which it is open; omitted once it has ended.',
      },
    },
  },
  { more: { type: 'boolean', description: 'Whether there are more.' } },
);

const ROUTER = {
  type: 'object',
  required: ['id', 'state', 'self'],
  properties: {
    id: TEXT,
    fingerprint: { type: 'string', description: 'Of its key.' },
    endpoint: { type: 'string', description: 'Where it is reached; empty where it has no external door.' },
    version: TEXT,
    state: {
      enum: ['up', 'silent', 'taken', 'stopped'],
      description:
        'silent: it was not heard for ten seconds. taken: another router took over what was open there. stopped: it left by itself.',
    },
    startedAt: { type: 'integer', description: 'Milliseconds since the epoch.' },
    silentSeconds: { type: 'number', description: 'How long ago it was heard.' },
    self: { type: 'boolean', description: 'Whether it is the one that answers.' },
    open: { ...COUNT, description: 'Requests that are open there.' },
    nodes: { ...COUNT, description: 'Nodes that it carries.' },
    nats: { type: 'boolean', description: 'Whether it reaches NATS.' },
  },
};

export const ROUTERS = listOf('routers', ROUTER, {
  cluster: orNull('string', 'Its name.'),
  natsAway: orNull('string', 'Why this router does not reach NATS; null while it does.'),
  clockSkewSeconds: {
    type: 'number',
    description: 'How far the clock of the database is ahead of this machine, in seconds.',
  },
});
