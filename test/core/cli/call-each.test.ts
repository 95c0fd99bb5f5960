import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { failure, type JsonObject } from '@centreond/protocol';
import { describe, expect, test } from 'vitest';
import type { Asked } from '../../../core/dist/cli/asked.js';
import { batchesOf } from '../../../core/dist/cli/batches.js';
import { type Caller, callEach, type Sending, type Streams } from '../../../core/dist/cli/call-each.js';
import { progressLine } from '../../../core/dist/cli/progress.js';
import { targetsOf } from '../../../core/dist/cli/targets.js';

const ids = (count: number, head = 'web') => Array.from({ length: count }, (_, i) => `${head}-${i + 1}`);
const output = (stdout: string, exitCode = 0): JsonObject => ({ exitCode, signal: null, stdout, stderr: '' });
const node = (id: string, more: object = {}) => ({
  ...{
    id,
    name: '',
    kind: 'pull',
    state: 'up',
    reason: null,
    address: null,
    labels: {},
    lastPong: null,
    lastPing: null,
  },
  ...{ roundTripMs: null, clockSkewSeconds: null, cursor: null, version: '1', actions: ['COMMAND'], subnodes: [] },
  ...more,
});

/** A router with a fleet: what each node answers, and the order in which requests began and ended. */
class World {
  readonly events: string[] = [];
  atOnce = 0;
  most = 0;
  out = '';
  err = '';
  fleet: object[] = [];
  answer: (target: string) => JsonObject = () => output('same\n');
  readonly streams: Streams;

  constructor() {
    const stream = (take: (text: string) => void) => {
      const write = (chunk: Buffer, _: string, done: () => void) => {
        take(stripVTControlCharacters(String(chunk)));
        done();
      };
      return new Writable({ write }) as NodeJS.WriteStream;
    };
    this.streams = { stdout: stream((text) => (this.out += text)), stderr: stream((text) => (this.err += text)) };
  }

  readonly client = {
    id: 'central',
    send: async (action: string) => {
      if (action === 'CONSTATUS') return { token: '', data: { nodes: this.fleet } };
      throw failure('UNKNOWN_ACTION', { action, near: undefined });
    },
    call: async (action: string, _: object, { target, token }: { target: string; token: string }) => {
      this.most = Math.max(this.most, ++this.atOnce);
      this.events.push(`> ${target}`);
      // Whoever is of the same batch begins before this one ends.
      await new Promise((resolve) => setImmediate(resolve));
      this.atOnce--;
      this.events.push(`< ${target}`);
      const data = this.answer(target);
      const code = 'error' in data ? 1 : 2;
      const row = { id: 1, token, type: action, node: target, code, etime: 0, ctime: 0, data };
      return { token, code, ok: code === 2, data, row };
    },
  } as unknown as Caller;

  call(sending: Partial<Sending> & { target?: string; label?: string[] }, asked: Partial<Asked> = {}) {
    const { target, label, ...more } = sending;
    const whole: Asked = {
      ...{ action: 'COMMAND', data: {}, sending: {}, ackOnly: false, onlyAccepted: false, isRead: false },
      ...{ checkExit: true, ...asked },
    };
    return callEach(this.client, whole, { named: targetsOf(target, label), token: 't', ...more }, this.streams);
  }
}

describe('what several nodes said', () => {
  test('is printed once where it is equal, then a line for each node, then what came of all', async () => {
    const world = new World();
    world.answer = (target) => (target === 'web-2' ? output('other\n') : output('same\n'));
    expect(await world.call({ target: ids(3).join() })).toBe(0);
    expect(world.out.replaceAll(/\d+ ms/g, 'N ms')).toBe(
      [
        '2 nodes: web-1, web-3',
        ...['  exitCode  0', '  signal    null', '  stdout    same', '  stderr    ', ''],
        'web-2',
        ...['  exitCode  0', '  signal    null', '  stdout    other', '  stderr    ', ''],
        'NODE   RESULT    TOOK  TOKEN',
        'web-1  finished  N ms  t:web-1',
        'web-2  finished  N ms  t:web-2',
        'web-3  finished  N ms  t:web-3',
        '',
        'COMMAND on 3 nodes: 3 finished',
        '',
      ].join('\n'),
    );
    expect(world.err).toBe('');
  });

  test('is one line of JSON each with --json, and the summary is apart', async () => {
    const world = new World();
    expect(await world.call({ target: 'a,b', json: true })).toBe(0);
    const lines = world.out.split('\n').slice(0, -1);
    expect(lines.map((line) => JSON.parse(line).target).sort()).toEqual(['a', 'b']);
    expect(world.err).toBe('COMMAND on 2 nodes: 2 finished\n');
  });

  test('folds refusals that differ by the name of the node alone', async () => {
    const world = new World();
    world.answer = (target) => {
      throw failure('NODE_UNREACHABLE', { target });
    };
    expect(await world.call({ target: 'a,b,c' })).toBe(1);
    expect(world.out).toMatch(/^3 nodes: a, b, c\n {2}NODE_UNREACHABLE: The node NODE .*\n\nNODE /);
    expect(world.out).toMatch(
      /\nCOMMAND on 3 nodes: 3 refused\n {2}refused {2}NODE_UNREACHABLE: a, b, c \(--hold has it kept\)\n$/,
    );
  });

  test('names as many nodes as a terminal is wide, and all of them in a pipe', async () => {
    const [pipe, terminal] = [new World(), new World()];
    Object.assign(terminal.streams.stdout, { isTTY: true, columns: 80 });
    for (const world of [pipe, terminal]) await world.call({ target: ids(200, 'a-rather-long-name').join() });
    const [head = ''] = terminal.out.split('\n');
    expect(head).toMatch(/^200 nodes: a-rather-long-name-1, .* and 19\d more$/);
    expect(Math.max(...terminal.out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(pipe.out.split('\n')[0]?.split(', ')).toHaveLength(200);
  });
});

describe('the exit code of a command', () => {
  test('that is not 0 is a failure, with the code in the summary', async () => {
    const world = new World();
    world.answer = (target) => {
      if (target === 'c') return { ...output(''), exitCode: null, signal: 'SIGKILL' };
      return output('', target === 'b' ? 3 : 0);
    };
    expect(await world.call({ target: 'a,b,c' })).toBe(1);
    expect(world.out).toMatch(/\nb +exit 3 +/);
    expect(world.out).toMatch(
      /\nCOMMAND on 3 nodes: 1 finished, 2 failed\n {2}failed {2}exit 3: b\n {2}failed {2}SIGKILL: c\n$/,
    );
  });

  test('does not count where nobody checks it', async () => {
    const world = new World();
    world.answer = () => output('', 3);
    expect(await world.call({ target: 'a,b' }, { checkExit: false })).toBe(0);
    expect(world.out).toMatch(/\nCOMMAND on 2 nodes: 2 finished\n$/);
  });
});

describe('batches', () => {
  test('begin when the one before has ended, so many nodes at a time or such a share', async () => {
    for (const [batch, most] of [
      ['2', 2],
      ['50%', 3],
      ['34%', 3],
      ['100%', 5],
    ] as const) {
      const world = new World();
      expect(await world.call({ target: ids(5).join(), batches: batchesOf({ batch }) })).toBe(0);
      expect(world.most).toBe(most === 3 && batch === '34%' ? 2 : most);
      const ended = world.events.filter((event) => event.startsWith('<'));
      expect(ended).toHaveLength(5);
      for (let i = 0; i < 5; i++) {
        const began = world.events.indexOf(`> web-${i + 1}`);
        const before = world.events.slice(0, began).filter((event) => event.startsWith('<')).length;
        expect(before % world.most).toBe(0);
      }
    }
  });

  test('are followed by none once a node failed with --fail-fast, and those that were not sent are told', async () => {
    const world = new World();
    world.answer = (target) => output('', target === 'web-2' ? 3 : 0);
    const batches = batchesOf({ batch: '2', failFast: true });
    expect(await world.call({ target: ids(20).join(), batches })).toBe(1);
    expect(world.events.filter((event) => event.startsWith('>'))).toEqual(['> web-1', '> web-2']);
    const unsent = ids(20).slice(2).join(', ');
    expect(world.out).toContain(
      `COMMAND on 20 nodes: 1 finished, 1 failed, 18 not sent\n  failed    exit 3: web-2\n  not sent  ${unsent}\n`,
    );
  });

  test('go on without it, and with it as long as nothing fails', async () => {
    const world = new World();
    world.answer = (target) => output('', target === 'web-1' ? 3 : 0);
    expect(await world.call({ target: ids(4).join(), batches: batchesOf({ batch: '1' }) })).toBe(1);
    expect(world.events).toHaveLength(8);
    const sound = new World();
    const batches = batchesOf({ batch: '1', failFast: true });
    expect(await sound.call({ target: ids(4).join(), batches })).toBe(0);
    expect(sound.events).toHaveLength(8);
  });

  test('are misuse where they cannot be meant', () => {
    expect(() => batchesOf({ wait: '30s' })).toThrow('add --batch');
    expect(() => batchesOf({ failFast: true })).toThrow('add --batch');
    expect(() => batchesOf({ batch: '2', wait: false })).toThrow('Omit one of the two');
    for (const batch of ['0', '101%', '-1', 'ten', '1.5']) expect(() => batchesOf({ batch })).toThrow('--batch');
    expect(() => batchesOf({ batch: '2', wait: 'soon' })).toThrow('--wait soon');
    expect(batchesOf({ batch: '2', wait: '30s' })?.pauseMs).toBe(30_000);
  });
});

describe('choosing', () => {
  const fleet = [
    node('db-1', { labels: { site: 'lyon', role: 'db' }, subnodes: ['db-behind'] }),
    node('web-1', { labels: { site: 'paris', role: 'web' } }),
    node('web-2', { labels: { site: 'lyon', role: 'web' } }),
    node('web-3', { labels: { site: 'paris', role: 'web' }, actions: ['PING'] }),
  ];
  const asked = async (target?: string, label?: string[]) => {
    const world = new World();
    world.fleet = fleet;
    await world.call({ ...(target !== undefined && { target }), ...(label && { label }) });
    return world.events
      .filter((event) => event.startsWith('>'))
      .map((event) => event.slice(2))
      .sort();
  };
  const refusal = (target?: string, ...label: string[]) => asked(target, label).catch((error: Error) => error);

  test('takes globs over ids, labels, and both together', async () => {
    expect(await asked('web-*')).toEqual(['web-1', 'web-2']);
    expect(await asked('d?-*')).toEqual(['db-1', 'db-behind']);
    expect(await asked('web-2,db-*')).toEqual(['db-1', 'db-behind', 'web-2']);
    expect(await asked(undefined, ['site=lyon'])).toEqual(['db-1', 'web-2']);
    expect(await asked('all', ['site=lyon', 'role=web'])).toEqual(['web-2']);
    expect(await asked('web-*', ['site=paris'])).toEqual(['web-1']);
    expect(await asked('web-1,web-2', ['site=lyon'])).toEqual(['web-2']);
  });

  test('says what there is where it finds nobody', async () => {
    expect(await refusal('mail-*')).toMatchObject({
      code: 'UNKNOWN_TARGET',
      exit: 1,
      message: 'No node of the router central matches mail-*. There are db-1, web-1, web-2, web-3, db-behind.',
    });
    expect(await refusal('web-*,mail-*')).toMatchObject({ message: expect.stringContaining('matches mail-*') });
    expect(await refusal(undefined, 'site=rome')).toMatchObject({
      code: 'UNKNOWN_TARGET',
      message:
        'No node of the router central has site=rome. The labels there are: role=db, role=web, site=lyon, site=paris.',
    });
    expect(await refusal('web-1,web-3', 'site=lyon')).toMatchObject({
      message: expect.stringMatching(/^None of web-1, web-3 has site=lyon\./),
    });
    expect(await refusal('wbe-1', 'site=lyon')).toMatchObject({
      message: expect.stringContaining('Did you mean web-1?'),
    });
    expect(await refusal('web-3*')).toMatchObject({ code: 'NODE_LACKS_ACTION' });
  });

  test('refuses what can be neither a node nor a label', () => {
    for (const target of ['all,a', 'a,', 'a b', 'web-*,all', '[ab]*']) {
      expect(() => targetsOf(target === '[ab]*' ? 'a,[ab]*' : target, target === 'a b' ? ['x=1'] : [])).toThrow(
        '--target',
      );
    }
    expect(() => targetsOf(undefined, ['paris'])).toThrow('--label paris');
    expect(targetsOf('web-1').many).toBe(false);
    expect(targetsOf('web-1*').many).toBe(true);
  });
});

test('how far it is fits a line: with a bar if there is room', () => {
  const standing = { total: 200, done: 50, running: 20, failed: 2, lastFailure: 'web-7 exit 3' };
  const batch = { number: 3, of: 10 };
  expect(progressLine(standing, 200, 0)).toBe(
    '[#####...............] 50 of 200, 20 running, 2 failed (last: web-7 exit 3)',
  );
  expect(progressLine({ ...standing, running: 0, batch: { ...batch, nextAt: 12_300 } }, 200, 0)).toBe(
    '[#####...............] 50 of 200, 2 failed (last: web-7 exit 3); batch 3 of 10, next in 13 s',
  );
  expect(progressLine({ total: 8, done: 2, running: 0, failed: 0, verb: 'copied' }, 200, 0)).toBe(
    '[#####...............] 2 of 8 copied',
  );
  expect(progressLine({ ...standing, batch }, 60, 0)).toHaveLength(60);
  expect(progressLine({ ...standing, batch }, 60, 0)).toMatch(/^50 of 200, .*…$/);
});
