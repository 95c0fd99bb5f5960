import { FakeClock } from '@centreond/plugin-kit';
import { CentreondError, type JsonObject, type Logger, type Transport } from '@centreond/plugin-sdk';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { Config } from '../../plugins/http/src/config.ts';
import { makeServer } from '../../plugins/http/src/server.ts';

const SECRET = 'the-secret-of-alice';
const NATS_AWAY = 'nats://10.0.0.9:4222 does not answer';

const router = (id: string, more: object = {}) => ({
  id,
  fingerprint: `the-key-of-${id}`,
  endpoint: `tcp://${id}.example:5555`,
  version: '0.1.0',
  state: 'up',
  startedAt: 1_790_000_000_000,
  silentSeconds: 0.4,
  self: id === 'central-a',
  open: 3,
  nodes: 2,
  nats: true,
  ...more,
});
const THREE = {
  cluster: 'prod',
  natsAway: null,
  clockSkewSeconds: 0.25,
  routers: [router('central-a'), router('central-b'), router('central-c', { state: 'taken', silentSeconds: 120 })],
};
const BY_ITSELF = { cluster: null, natsAway: null, clockSkewSeconds: 0, routers: [] };

/** What a router answers, by action; an error is its refusal. */
type Answers = Record<string, object | CentreondError>;

/** A router that a cluster may be around, as far as the plugin asks it. */
class FakeRouter {
  readonly clock = new FakeClock();
  readonly asked: string[] = [];
  answers: Answers = {
    PING: { id: 'central-a', version: '0.1.0' },
    INFORMATION: { id: 'central-a', version: '0.1.0', uptimeSeconds: 7, plugins: [], counters: {} },
    CONSTATUS: { nodes: [{ id: 'paris-1', state: 'up', kind: 'pull', router: 'central-b' }] },
    GETROUTERS: THREE,
    GETMANIFESTS: { plugins: [] },
  };
  #server: FastifyInstance | undefined;

  async #send(action: string): Promise<{ token: string; data: JsonObject }> {
    this.asked.push(action);
    const answer = this.answers[action];
    if (!answer) throw new CentreondError('UNKNOWN_ACTION', `No plugin here declares the action ${action}.`);
    if (answer instanceof CentreondError) throw answer;
    return { token: '', data: answer as JsonObject };
  }

  async get(url: string, secret: string | undefined = SECRET) {
    this.#server ??= await this.#serve();
    const headers = secret === '' ? {} : { authorization: `Bearer ${secret}` };
    const { statusCode: status, body } = await this.#server.inject({ method: 'GET', url, headers });
    return { status, text: body, json: () => JSON.parse(body) as Record<string, unknown> };
  }

  #serve(): Promise<FastifyInstance> {
    const send = (action: string) => this.#send(action);
    const transport = {
      send,
      callAs: ({ name }: { name: string }) => ({ identity: `http/${name}`, send, close: () => {} }),
    } as unknown as Transport;
    return makeServer({
      config: Config.parse({ tokens: [{ name: 'alice', secret: SECRET }] }),
      version: '0.1.0',
      transport,
      clock: this.clock,
      log: { error: () => {} } as unknown as Logger,
      traces: undefined,
      stopping: new AbortController().signal,
    });
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}

let central = new FakeRouter();
afterEach(async () => {
  await central.close();
  central = new FakeRouter();
});

describe('GET /api/routers', () => {
  test('answers with the routers of the cluster, to those who have a token', async () => {
    const { status, json } = await central.get('/api/routers');
    expect({ status, body: json() }).toEqual({ status: 200, body: THREE });
    expect((await central.get('/api/routers', '')).status).toBe(401);
  });

  test('says of a router by itself that it is in no cluster', async () => {
    central.answers.GETROUTERS = BY_ITSELF;
    expect((await central.get('/api/routers')).json()).toEqual(BY_ITSELF);
  });

  test('is described, with the router of nodes and of requests', async () => {
    const { paths } = (await central.get('/api/openapi.json')).json() as { paths: Record<string, object> };
    const described = (path: string, list: string) => ({
      [path]: {
        get: {
          responses: {
            200: { content: { 'application/json': { schema: { properties: { [list]: { items: {} } } } } } },
          },
        },
      },
    });
    for (const [path, list] of [
      ['/api/routers', 'routers'],
      ['/api/nodes', 'nodes'],
      ['/api/requests', 'requests'],
    ] as const) {
      expect(paths).toMatchObject(described(path, list));
      if (list !== 'routers') expect(JSON.stringify(paths[path])).toContain('"router":');
    }
  });
});

describe('/readyz', () => {
  test('says whether NATS is there, and stays ready where it is away', async () => {
    const ready = async () => {
      await central.clock.advance(1000);
      const { status, json } = await central.get('/readyz', '');
      return { status, body: json() };
    };
    expect(await ready()).toEqual({ status: 200, body: { ok: true, nats: 'up' } });
    central.answers.GETROUTERS = { ...THREE, natsAway: NATS_AWAY };
    expect(await ready()).toEqual({ status: 200, body: { ok: true, nats: 'away' } });
    central.answers.GETROUTERS = BY_ITSELF;
    expect(await ready()).toEqual({ status: 200, body: { ok: true } });
    central.answers.GETROUTERS = new CentreondError('NOT_ACKNOWLEDGED', 'The router did not answer.');
    expect(await ready()).toEqual({ status: 200, body: { ok: true } });
    central.answers.PING = new CentreondError('NOT_ACKNOWLEDGED', 'The router did not answer.');
    expect(await ready()).toEqual({ status: 503, body: { ok: false } });
  });

  test('asks the router once a second at most, and /healthz never', async () => {
    await central.get('/healthz', '');
    central.asked.length = 0;
    await central.get('/healthz', '');
    expect(central.asked).toEqual([]);
    for (let i = 0; i < 5; i++) await central.get('/readyz', '');
    expect(central.asked.sort()).toEqual(['GETROUTERS', 'PING']);
  });
});

describe('/metrics', () => {
  test('counts the routers by state, those in none as well, and says whether NATS is there', async () => {
    central.answers.GETROUTERS = { ...THREE, natsAway: NATS_AWAY };
    const { text } = await central.get('/metrics');
    for (const line of [
      'centreond_cluster_routers{cluster="prod",state="up"} 2',
      'centreond_cluster_routers{cluster="prod",state="silent"} 0',
      'centreond_cluster_routers{cluster="prod",state="taken"} 1',
      'centreond_cluster_routers{cluster="prod",state="stopped"} 0',
      'centreond_cluster_nats_up{cluster="prod"} 0',
      'centreond_cluster_clock_skew_seconds{cluster="prod"} 0.25',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    central.answers.GETROUTERS = THREE;
    expect((await central.get('/metrics')).text).toContain('centreond_cluster_nats_up{cluster="prod"} 1');
  });

  test.each([
    ['of a router by itself', BY_ITSELF],
    ['for a token that may not ask', new CentreondError('FORBIDDEN', 'This token may not ask that.')],
  ])('has nothing of a cluster %s, and the rest', async (_, answer) => {
    central.answers.GETROUTERS = answer;
    const { status, text } = await central.get('/metrics');
    expect(status).toBe(200);
    expect(text).toContain('centreond_uptime_seconds 7');
    expect(text).not.toContain('centreond_cluster');
  });
});
