import { type Clock, isCentreondError, type JsonObject, type Transport } from '@centreond/plugin-sdk';
import { z } from 'zod';

const STATES = ['up', 'silent', 'taken', 'stopped'] as const;

const Cluster = z.object({
  cluster: z.string().nullable(),
  natsAway: z.string().nullable(),
  clockSkewSeconds: z.number(),
  routers: z.array(z.object({ state: z.string() })),
});

/** What GETROUTERS tells of a cluster, as far as figures are made of it. */
export interface ClusterFigures {
  readonly name: string;
  /** How many routers are in each state, those in none included. */
  readonly routers: ReadonlyMap<string, number>;
  readonly isNatsUp: boolean;
  readonly clockSkewSeconds: number;
}

/** Who asks the router: a caller's session, or the plugin itself. */
export type Asker = (action: string, data: object) => Promise<{ readonly data: JsonObject }>;

/** Refusals that say that the cluster is not for this caller, or that the router knows of none. */
const NOT_TOLD = new Set(['FORBIDDEN', 'UNKNOWN_ACTION']);

/** What is known of the cluster; undefined for a router by itself, and for a caller who may not ask. */
export async function askCluster(ask: Asker): Promise<ClusterFigures | undefined> {
  try {
    return figuresOf((await ask('GETROUTERS', {})).data);
  } catch (error) {
    if (isCentreondError(error) && NOT_TOLD.has(error.code)) return undefined;
    throw error;
  }
}

function figuresOf(told: JsonObject): ClusterFigures | undefined {
  const { cluster: name, natsAway, clockSkewSeconds, routers } = Cluster.parse(told);
  if (name === null) return undefined;
  const counts = new Map<string, number>(STATES.map((state) => [state, 0]));
  for (const { state } of routers) counts.set(state, (counts.get(state) ?? 0) + 1);
  return { name, routers: counts, isNatsUp: natsAway === null, clockSkewSeconds };
}

/** How old the answer of /readyz may be. */
const FRESH_MS = 1000;
const ANSWER_MS = 5000;

/** What /readyz answers. `nats` is there in a cluster only. */
export interface Readiness {
  readonly ok: boolean;
  readonly nats?: 'up' | 'away';
}

/** Asks whether the router answers, and whether it is heard by the others of its cluster; once a second at most. */
export function readiness(transport: Pick<Transport, 'send'>, clock: Clock): () => Promise<Readiness> {
  const ask = async (): Promise<Readiness> => {
    const send: Asker = (action, data) => transport.send(action, data, { timeoutMs: ANSWER_MS });
    // A router that does not hear the others still serves: NATS being away is no reason to send it no requests.
    const cluster = askCluster(send).catch(() => undefined);
    try {
      await send('PING', {});
    } catch {
      return { ok: false };
    }
    const found = await cluster;
    return { ok: true, ...(found && { nats: found.isNatsUp ? 'up' : 'away' }) };
  };
  let asked = Number.NEGATIVE_INFINITY;
  let answer: Promise<Readiness> = Promise.resolve({ ok: false });
  return () => {
    if (clock.now() - asked < FRESH_MS && clock.now() >= asked) return answer;
    asked = clock.now();
    answer = ask();
    return answer;
  };
}
