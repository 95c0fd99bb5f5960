import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../cluster/free-port.ts';
import { noNats } from '../cluster/nats-server.ts';
import { noPostgres, PostgresServer } from '../core/store/postgres-server.ts';
import { processesWith } from '../daemon-process.ts';
import { ROOT, tempFolder } from '../plugin-sdk/temp-package.ts';
import { blocksOf } from './page.ts';
import { Terminal } from './terminal.ts';

const PAGE = 'core/docs/cluster.md';
/** A block that waits for what never comes goes on for ever. */
const LIMIT_MS = 180_000;
const ROUTERS = ['central-a', 'central-b'];
const MACHINES = ['db', ...ROUTERS, 'paris', 'desk'];
/** What a person carries from one machine to the others. */
const CARRIED = [
  { from: 'db', names: ['postgres-url', 'nats-login'], to: ROUTERS },
  { from: 'central-b', names: ['line.txt'], to: ['paris'] },
  { from: 'central-a', names: ['routers.json'], to: ['desk'] },
  { from: 'desk', names: ['key.txt'], to: ['central-a'] },
];

/**
 * What stands in for the programs of the system. A daemon is a job of the terminal: its start returns once it is ready. One that was woken
 * up ends, and is started again; `apt` of a newer package starts it again, too.
 */
const STAND_INS = `
set +o pipefail # as in the shell of a person
touch centreond.log
PIDFILE=var/run/daemon.pid
runuser() { shift 3; "$@"; }
centreond() { "$NODE" "$CENTREOND" "$@"; }
starts() { grep -c 'is ready' centreond.log || true; }
begin() { local before=$(starts); "$@" < /dev/null >> centreond.log 2>&1 & until [ "$(starts)" != "$before" ]; do kill -0 $! || { cat centreond.log; exit 1; }; sleep 0.2; done; }
daemon() { [ -e $PIDFILE ] || begin "$NODE" "$CENTREOND" start --config config/centreond.yaml; }
finish() { [ ! -e $PIDFILE ] || { local pid=$(cat $PIDFILE); kill "-$1" "$pid"; while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done; rm -f $PIDFILE; }; }
apt() { [ ! -e $PIDFILE ] || { finish TERM; daemon; }; }
systemctl() { case "$*" in
  *=STOP*) kill -STOP "$(cat $PIDFILE)" ;;
  *=CONT*) finish CONT; daemon ;;
  start*centreond) daemon ;;
  stop*centreond|disable*centreond) finish TERM ;;
  *start*nats*) nats-server -c nats-server.conf 2> nats.log & echo $! > nats.pid; until grep -q ready nats.log; do sleep 0.1; done ;;
  stop*nats*) kill "$(cat nats.pid)" ;;
esac; }
`;

const why = noPostgres ?? noNats;
test.runIf(process.env.CI)('PostgreSQL and NATS are here', () => expect(why).toBeUndefined());

describe.skipIf(why !== undefined)('the page about a cluster', { timeout: LIMIT_MS }, () => {
  const blocks = blocksOf(PAGE);
  const folder = tempFolder();
  const at = (machine: string, ...parts: string[]) => path.join(folder, machine, ...parts);
  const postgres = new PostgresServer();
  const terminals = new Map<string, Terminal>();
  /** What the page calls something, and what it is here. */
  const places: [string, string][] = [];
  const doors = new Map<string, number>();

  beforeAll(async () => {
    await postgres.start();
    const show = async (setting: string) => String((await postgres.query('postgres', `SHOW ${setting}`))[0]?.[0]);
    const [data, sockets] = [await show('data_directory'), await show('unix_socket_directories')];
    mkdirSync(path.join(data, 'conf.d'));
    const nats = `127.0.0.1:${await freePort()}`;
    for (const router of ROUTERS) doors.set(router, await freePort());
    places.push(
      ['db.example:5432', `127.0.0.1:${postgres.port}`],
      ...['db.example:4222', '0.0.0.0:4222'].map((there): [string, string] => [there, nats]),
      ...[...doors].map(([router, port]): [string, string] => [`${router}.example:5555`, `127.0.0.1:${port}`]),
      ['10.0.0.0/24', '127.0.0.1/32'],
      ['/etc/postgresql/15/main', data],
      ['/etc/nats-server.conf', 'nats-server.conf'],
      ['-g nats ', ''],
      ['-g centreond ', ''],
      // It ends as the request did, which failed.
      ['centreond log here', 'centreond log here || true'],
      // Without the Debian package it goes on as the node.
      ['sh -c "$(cat line.txt)', 'begin sh -c "$(cat line.txt)'],
    );
    const server = { PGHOST: sockets, PGPORT: String(postgres.port), PGUSER: 'postgres' };
    const programs = { NODE: process.execPath, CENTREOND: path.join(ROOT, 'core/bin/centreond.js') };
    for (const machine of MACHINES) {
      mkdirSync(at(machine, 'config'), { recursive: true });
      symlinkSync(path.join(ROOT, 'node_modules'), at(machine, 'node_modules'));
      const env = { ...process.env, ...server, ...programs, LANG: 'C.UTF-8', HOME: at(machine) };
      const terminal = new Terminal(at(machine), { ...env, PATH: `${process.env.PATH}:/usr/sbin` });
      terminals.set(machine, terminal);
      await terminal.type(STAND_INS);
    }
  });
  afterAll(async () => {
    for (const terminal of terminals.values()) terminal.close();
    for (const pid of processesWith(folder)) process.kill(pid, 'SIGKILL');
    await postgres.stop();
  });

  /** Types a block on a machine, and resolves with what it printed. PostgreSQL is started and stopped here. */
  async function type(machine: string, text: string): Promise<string> {
    let said = '';
    for (const part of here(machine, text).split(/^(?=systemctl .*postgresql)/m)) {
      const [, verb] = /^systemctl (\w+) .*postgresql/.exec(part) ?? [];
      if (verb === 'stop' || verb === 'restart') await postgres.kill();
      if (verb === 'start' || verb === 'restart') await postgres.start();
      said += await (terminals.get(machine) as Terminal).type(part);
    }
    for (const { names, to } of CARRIED.filter(({ from }) => from === machine))
      for (const name of names.filter((one) => existsSync(at(machine, one))))
        for (const one of to) copyFileSync(at(machine, name), at(one, name));
    return said;
  }

  function here(machine: string, text: string): string {
    const own: [string, string][] = [
      ['tcp://*:5555', `tcp://127.0.0.1:${doors.get(machine)}`],
      ['/etc/centreond', at(machine, 'config')],
      ['/var/lib/centreond', at(machine, 'var')],
    ];
    return [...places, ...own].reduce((all, [there, place]) => all.replaceAll(there, place), text);
  }

  /** Types the next blocks, all of those below `heading`, and resolves with what each of them printed. */
  async function typeBelow(heading: string): Promise<string[]> {
    const said: string[] = [];
    for (let [block] = blocks; block?.heading === heading; [block] = blocks) {
      said.push(await type(block.machine, block.text));
      blocks.shift();
    }
    expect(said.length).toBeGreaterThan(0);
    return said;
  }

  test('leaves no shell block out: each names its machine', () => {
    const all = [...readFileSync(path.join(ROOT, PAGE), 'utf8').matchAll(/^```sh$/gm)];
    expect(blocks.length).toBe(all.length);
    expect(new Set(blocks.map(({ machine }) => machine))).toEqual(new Set(MACHINES));
  });

  test('two routers, a node that joins with a line of both, and a client', async () => {
    await typeBelow('PostgreSQL and NATS');
    const [first] = blocks;
    const [one] = await typeBelow('Two routers');
    expect(one).toMatch(/No mistakes.*cluster prod: 1 of 1 router up/s);
    const two = await type('central-b', String(first?.text).replaceAll('central-a', 'central-b'));
    expect(two).toMatch(/cluster prod: 2 of 2 routers up.*\ncentral-a +up .*\ncentral-b \* +up /s);
    const said = await typeBelow('A node and a client');
    expect(said[0]).toMatch(/router +central-b.*\n +or +tcp:/s);
    expect(said[2]).toContain('finished (2)');
    expect(said.at(-1)).toContain('finished (2)');
  });

  test('a router that says nothing more is taken over, and ends when it wakes up', async () => {
    const [, taken, desk, back] = await typeBelow('A router is lost');
    expect(taken).toMatch(/OUTCOME_UNKNOWN.*ROUTER_DOWN.*central-a is silent.*ROUTER_TAKEN_OVER.*1 request\./s);
    expect(desk).toContain('finished (2)');
    expect(back).toMatch(/central-a \* +up/);
    const log = readFileSync(at('central-a', 'centreond.log'), 'utf8');
    expect(log).toMatch(/centreond cannot go on: .*has taken the place of this router/);
  });

  test('without NATS, and then without PostgreSQL, it does what it can and goes on by itself', async () => {
    const [, away] = await typeBelow('NATS is away');
    expect(away).toMatch(/NATS at .*finished \(2\).*held/s);
    const [, refused, , again] = await typeBelow('PostgreSQL is away');
    expect(refused).toContain('STORE_FAILED');
    expect(again).toContain('finished (2)');
  });

  test('a router is started again beside the other', async () => {
    expect(await typeBelow('An upgrade')).toEqual([expect.stringMatching(/central-a \* +up/)]);
  });

  test('a router that stopped for good is forgotten', async () => {
    const page = readFileSync(path.join(ROOT, PAGE), 'utf8');
    const [, shown] = /^```text\n(central-b is no router[^`]+)```$/m.exec(page) ?? [];
    const [, forgotten] = await typeBelow('A router goes for good');
    expect(forgotten).toContain(String(shown).trim());
  });

  test('a dump brings back what was there', async () => {
    const said = await typeBelow('Backup and restore');
    expect(said.at(-1)).toMatch(/ada +COMMAND +paris +finished/);
    const [counted] = await typeBelow('What to watch');
    expect(counted).toMatch(/\d \| central-a/);
    expect(blocks).toEqual([]);
  });
});
