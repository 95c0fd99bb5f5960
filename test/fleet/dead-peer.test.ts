import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../daemon-process.ts';
import { Fleet, type NodeStatus, type Poller } from './fleet.ts';
import { report, seconds } from './report.ts';

const NOTICED_MS = 15_000;
const BACK_MS = 10_000;
/** What asking for the state may take, and being scheduled on a busy machine. */
const SLACK_MS = 1000;

interface Death {
  /** "a node that …" */
  readonly what: string;
  die(poller: Poller): unknown;
  heal(poller: Poller): unknown;
  /** Needs a cable. */
  readonly cable?: true;
}

const DEATHS: readonly Death[] = [
  {
    what: 'is killed with -9',
    die: ({ machine }) => machine.end('SIGKILL'),
    heal: ({ machine }) => machine.start(),
  },
  {
    what: 'is stopped by SIGSTOP',
    die: ({ machine }) => process.kill(machine.pid, 'SIGSTOP'),
    heal: ({ machine }) => process.kill(machine.pid, 'SIGCONT'),
  },
  {
    what: 'is half open: nothing passes, and no end was told',
    die: ({ wire }) => wire.silence(),
    heal: ({ wire }) => wire.heal(),
  },
  {
    what: 'is cut off by RST, and refused',
    die: ({ wire }) => wire.cut(),
    heal: ({ wire }) => wire.heal(),
  },
  {
    what: 'lost its cable',
    die: ({ machine }) => machine.host.unplug(),
    heal: ({ machine }) => machine.host.plug(),
    cable: true,
  },
];
const KINDS = ['push', 'pull'] as const;

let fleet: Fleet;
beforeAll(async () => {
  fleet = await Fleet.start({ push: DEATHS.length, pull: DEATHS.length });
  report(`on ${fleet.network.description}`);
});
afterAll(async () => fleet?.close());

/** Milliseconds until a node is up, or is not. */
async function msUntil(id: string, up: boolean, limitMs: number): Promise<number> {
  const since = performance.now();
  await until(
    `${id} is ${up ? '' : 'not '}up`,
    async () => ((await fleet.stateOf(id)) === 'up') === up,
    limitMs + SLACK_MS,
  );
  return performance.now() - since;
}

/** Milliseconds until every node is up, asked again and again. */
async function backAgain(): Promise<number> {
  const since = performance.now();
  const local = await fleet.local(fleet.central);
  const nodes = async () => (await local.send('CONSTATUS')).data.nodes as unknown as NodeStatus[];
  let down: string[] = [];
  const allUp = async () => {
    down = (await nodes()).filter(({ state }) => state !== 'up').map(({ id }) => id);
    return down.length === 0;
  };
  await until('every node is up', allUp, BACK_MS + SLACK_MS).catch((error: Error) => {
    throw new Error(`${error.message}; not ${down.join(', ')}`);
  });
  return performance.now() - since;
}

describe.concurrent('one end only is touched', () => {
  const cases = KINDS.flatMap((kind) => DEATHS.map((death, i) => ({ kind, id: `${kind}-${i + 1}`, ...death })));
  for (const { kind, id, what, cable, die, heal } of cases) {
    test(`a ${kind} node that ${what} is seen as such within 15 s, and up within 10 s of healing`, async (context) => {
      context.skip(cable === true && !fleet.network.isolated, 'only network namespaces have cables');
      const poller = fleet.poller(id);
      await die(poller);
      const noticed = await msUntil(id, false, NOTICED_MS);
      await expect(fleet.alice.send('ECHO', {}, { target: id })).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
      await heal(poller);
      const back = await msUntil(id, true, BACK_MS);
      await fleet.alice.send('ECHO', {}, { target: id });
      report(`${kind}, ${what}: noticed after ${seconds(noticed)}, back after ${seconds(back)}`);
    });
  }
});

test('a central that is stopped, and one that is killed with -9, has all of its nodes within 10 s of its return', async () => {
  process.kill(fleet.central.pid, 'SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, NOTICED_MS + 3000));
  process.kill(fleet.central.pid, 'SIGCONT');
  const continued = await backAgain();
  await fleet.central.end('SIGKILL');
  await fleet.central.start();
  report(`the central: all back ${seconds(continued)} after SIGCONT, ${seconds(await backAgain())} after a restart`);
});
