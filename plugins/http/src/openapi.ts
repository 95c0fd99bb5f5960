import type { DeclaredAction, DeclaredPlugin } from './manifests.ts';
import { NODES, REQUESTS, ROUTERS } from './read-schemas.ts';

const json = (schema: object) => ({ 'application/json': { schema } });
const ERROR = { $ref: '#/components/schemas/Error' };
const ACCEPTED = { type: 'object', required: ['token'], properties: { token: { type: 'string' } } };
const ANYTHING = { type: 'object' };
const REFUSALS = {
  400: { description: 'What was sent is malformed, or does not fit the action.', content: json(ERROR) },
  401: { description: 'No token, or one that is not known.', content: json(ERROR) },
  403: { description: 'The token’s roles, actions or targets do not allow it.', content: json(ERROR) },
  404: { description: 'There is no such action, node or path.', content: json(ERROR) },
  409: { description: 'The token names another request.', content: json(ERROR) },
  429: { description: 'Too much is open, or too many logins failed.', content: json(ERROR) },
};

const query = (name: string, description: string, schema: object = { type: 'string' }) => ({
  ...{ name, in: 'query', required: false, description, schema },
});
const inPath = (name: string, description: string) => ({
  ...{ name, in: 'path', required: true, description, schema: { type: 'string' } },
});
const WHOLE = { type: 'integer', minimum: 0 };

const CALL_OPTIONS = [
  query('wait', 'Answers with the outcome if the request ends within this time: 500ms, 30s, 5m; 600s at most.'),
  query('token', 'The token of the request; a new one if omitted. A repeat of the same request runs nothing again.'),
  query('hold', 'Keeps it for a node that is away, for this long.'),
];

const answered = (description: string, schema: object = ANYTHING) => ({
  200: { description, content: json(schema) },
  ...REFUSALS,
});
const streamed = (description: string) => ({
  200: { description, content: { 'text/event-stream': { schema: { type: 'string' } } } },
  ...REFUSALS,
});

const READS = {
  '/api/whoami': { get: { summary: 'Who the token is', responses: answered('Its name, identity and roles.') } },
  '/api/status': { get: { summary: 'What runs, with figures', responses: answered('As INFORMATION.') } },
  '/api/nodes': {
    get: { summary: 'The nodes that are reached from here', responses: answered('As CONSTATUS.', NODES) },
  },
  '/api/routers': {
    get: {
      summary: 'The routers of the cluster',
      description: 'Of a router by itself `cluster` is null and `routers` empty.',
      responses: answered('As GETROUTERS.', ROUTERS),
    },
  },
  '/api/plugins': { get: { summary: 'What the plugins declare', responses: answered('As GETMANIFESTS.') } },
  '/api/log/{token}': {
    get: {
      summary: 'The rows of a token',
      parameters: [
        inPath('token', 'The token.'),
        query('after', 'Rows behind this id.', WHOLE),
        query('limit', 'How many at most.', WHOLE),
      ],
      responses: answered('Its rows, in order, and whether there are more.'),
    },
  },
  '/api/log/{token}/stream': {
    get: {
      summary: 'The rows of a token as server-sent events, live, until it ends',
      parameters: [inPath('token', 'The token.')],
      responses: streamed('Events `row`, then one `end`. Last-Event-ID goes on behind a row.'),
    },
  },
  '/api/events': {
    get: {
      summary: 'What happens, as server-sent events',
      responses: streamed('An event for each thing that happens, named by its kind.'),
    },
  },
  '/api/requests': {
    get: {
      summary: 'Requests, the newest first',
      parameters: [
        query('state', 'Only these.', { enum: ['open', 'finished', 'failed'] }),
        query('owner', 'Only requests of this identity.'),
        query('action', 'Only requests for this action.'),
        query('node', 'Only requests to this node.'),
        query('token', 'Only this one.'),
        query('since', 'Accepted at this second since the epoch or later.', WHOLE),
        query('until', 'Accepted at this second since the epoch or before.', WHOLE),
        query('before', 'The id of the last request of the page before.', WHOLE),
        query('limit', 'How many at most: 100 if omitted, 1,000 at most.', WHOLE),
      ],
      responses: answered('The requests, and whether there are more.', REQUESTS),
    },
  },
  '/api/requests/{token}': {
    delete: {
      summary: 'End an open request',
      parameters: [inPath('token', 'The token.')],
      responses: answered('Whether it was open.'),
    },
  },
};

/** Describes the API, with a path for each action here and on a node. OpenAPI 3.1. */
export function openApiOf(plugins: readonly DeclaredPlugin[], version: string): object {
  const actions = plugins.flatMap(({ type, actions: declared }) =>
    declared.filter(({ access }) => !access.every((one) => one === 'internal')).map((action) => ({ type, action })),
  );
  return {
    openapi: '3.1.0',
    info: { title: 'centreond', version, description: 'The actions of this router, its history and its fleet.' },
    security: [{ bearer: [] }, { basic: [] }],
    tags: plugins.map(({ type, title }) => ({ name: type, description: title })),
    paths: {
      ...READS,
      ...Object.fromEntries(actions.flatMap(({ type, action }) => pathsOf(type, action))),
    },
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' }, basic: { type: 'http', scheme: 'basic' } },
      schemas: {
        Error: {
          type: 'object',
          required: ['error', 'message'],
          properties: {
            error: { type: 'string', description: 'A stable code.' },
            message: { type: 'string', description: 'What happened, and what to do next.' },
          },
        },
      },
    },
  };
}

function pathsOf(type: string, action: DeclaredAction): [string, object][] {
  const { name, title, description, access, effects } = action;
  const operation = (where: string, parameters: object[]) => ({
    post: {
      operationId: `${name}${where}`,
      tags: [type],
      summary: title,
      description: [description, `For: ${[...new Set([...access, 'admin'])].join(', ')}. Effects: ${effects}.`]
        .filter(Boolean)
        .join('\n\n'),
      parameters: [...parameters, ...(action.reply === 'ack' ? [] : CALL_OPTIONS)],
      requestBody: { content: json(action.input) },
      responses: responsesOf(action),
    },
  });
  return [
    [`/api/actions/${name}`, operation('', [])],
    [`/api/nodes/{id}/actions/${name}`, operation('_ON_NODE', [inPath('id', 'The node.')])],
  ];
}

function responsesOf({ reply, output }: DeclaredAction): object {
  if (reply === 'ack') return answered('The answer.', output);
  const outcome = {
    type: 'object',
    required: ['token', 'ok', 'code', 'data'],
    properties: {
      token: { type: 'string' },
      ok: { type: 'boolean', description: 'Whether it finished.' },
      code: { type: 'integer', description: '2 finished, 1 failed.' },
      node: { type: 'string', description: 'Where it ran.' },
      data: { anyOf: [output, ERROR] },
    },
  };
  return {
    ...answered('With `wait`: how it ended.', outcome),
    202: { description: 'On disk. Its rows are at /api/log/TOKEN.', content: json(ACCEPTED) },
  };
}
