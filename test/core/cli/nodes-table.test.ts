import { describe, expect, test } from 'vitest';
import { cellsOf, cut } from '../../../core/dist/cli/cells.js';
import type { Fleet, FleetNode } from '../../../core/dist/cli/fleet.js';
import { nodeText } from '../../../core/dist/cli/node-text.js';
import { fleetText } from '../../../core/dist/cli/nodes-table.js';
import type { View } from '../../../core/dist/cli/painted.js';
import { plain } from '../../../core/dist/words.js';

const NOW = Date.parse('2026-11-25T12:00:00Z');
const ago = (seconds: number) => NOW / 1000 - seconds;
const node = (id: string, more: Partial<FleetNode> = {}): FleetNode => ({
  id,
  name: '',
  kind: 'pull',
  state: 'up',
  reason: null,
  address: '10.0.0.7:41522',
  sharedBy: [],
  labels: {},
  lastPing: ago(1),
  lastPong: ago(1),
  roundTripMs: 0.734,
  clockSkewSeconds: 0.004,
  cursor: 120_345,
  version: '0.1.0',
  actions: ['COMMAND', 'PING'],
  subnodes: [],
  ...more,
});
const AWAY = { state: 'unreachable', lastPong: ago(850) };
const FLEET = [
  node('lyon', { name: 'Lyon', subnodes: ['bergen', 'tromso'] }),
  node('paris-1', { name: 'Paris', ...AWAY }),
  node('web-7', { name: '東京のウェブ', kind: 'ssh', clockSkewSeconds: -12.42, cursor: null, version: null }),
  node('nice', { state: 'connecting', lastPong: null, roundTripMs: null, clockSkewSeconds: null, actions: [] }),
];
const fleet = (nodes: readonly FleetNode[]): Fleet => ({ router: 'central', nodes, raw: [] });
const view = (more: Partial<View> = {}): View => ({ width: undefined, now: NOW, paint: (_, text) => text, ...more });
const shown = (nodes: readonly FleetNode[], more: Partial<View> = {}) =>
  fleetText(fleet(nodes), view(more)).split('\n');
/** The lines of the table itself. */
const tableOf = (lines: string[]) => lines.slice(2, lines.indexOf('', 2));

describe('the table of nodes', () => {
  test('tells of each node, and has those behind it below it', () => {
    expect(shown(FLEET)).toEqual([
      'router central, 4 nodes: 2 up, 1 connecting, 1 unreachable; 2 behind them',
      '',
      'NODE      NAME          KIND  STATE        RTT     SKEW       PONG    CURSOR  VERSION  ACTIONS',
      'lyon      Lyon          pull  up           0.7 ms  +4 ms      1 s     120345  0.1.0    2',
      '├ bergen                      up',
      '└ tromso                      up',
      'paris-1   Paris         pull  unreachable  0.7 ms  +4 ms      14 min  120345  0.1.0    2',
      'web-7     東京のウェブ  ssh   up           0.7 ms  -12.4 s !  1 s     -       -        2',
      'nice                    pull  connecting   -       -          never   120345  0.1.0    -',
      '',
      'warning  paris-1 is unreachable: no answer for 14 min, since 2026-11-25 11:45:50 +00:00.',
      'warning  nice is connecting: it never answered.',
      "warning  The clock of web-7 is 12.4 s behind this router's.",
      '',
    ]);
  });

  test('tells of a node that is away why, as far as it is known', () => {
    const reason = 'the router has the key A, and B is the one to expect';
    expect(shown([node('lyon', { state: 'unreachable', lastPong: null, reason })])).toContain(
      `warning  lyon is unreachable: ${reason}.`,
    );
    expect(shown([node('lyon', { ...AWAY, reason: 'The handshake was refused.' })])).toContain(
      'warning  lyon is unreachable: no answer for 14 min, since 2026-11-25 11:45:50 +00:00; The handshake was refused.',
    );
  });

  test('warns of a key that two machines use, with both addresses', () => {
    const sharedBy = ['10.0.0.7:41522', '[fd00::9]:5000'];
    const sentence =
      'warning  Two machines connect with the key of lyon by turns, from 10.0.0.7:41522 and [fd00::9]:5000. Give each a key of its own: `centreond join ID`.';
    expect(shown([node('lyon', { sharedBy })])).toContain(sentence);
    expect(nodeText(node('lyon', { sharedBy }), view())).toContain(sentence);
  });

  test.each([200, 80, 40, 24, 10])('fits into %i cells, and always says who and how', (width) => {
    const lines = tableOf(shown(FLEET, { width }));
    for (const line of lines) expect(cellsOf(line)).toBeLessThanOrEqual(width);
    expect(lines).toHaveLength(7);
    if (width < 24) return;
    expect(lines[0]).toMatch(/^NODE +.*STATE/);
    expect(lines[4]).toMatch(/^paris-1 +.*unreachable/);
  });

  test('leaves out at 80 cells what matters least, and at 40 keeps the age of the last PONG', () => {
    expect(tableOf(shown(FLEET, { width: 80 }))[0]?.split(/ +/)).toEqual([
      ...['NODE', 'NAME', 'KIND', 'STATE', 'RTT', 'SKEW', 'PONG', 'CURSOR'],
    ]);
    expect(tableOf(shown(FLEET, { width: 40 }))[0]?.split(/ +/)).toEqual(['NODE', 'STATE', 'RTT', 'PONG']);
  });

  test('cuts long ids in the middle, since they differ at both ends, and long names at their end', () => {
    const nodes = [1, 2].map((n) =>
      node(`poller-of-the-northern-region-in-rack-${n}`, { name: 'A long name '.repeat(5) }),
    );
    const lines = tableOf(shown(nodes, { width: 100 }));
    expect(lines[1]).toMatch(/^poller-of.*….*rack-1 +A long.*… /);
    expect(lines[2]).toMatch(/^poller-of.*….*rack-2 /);
    for (const line of lines) expect(cellsOf(line)).toBeLessThanOrEqual(100);
  });

  test('has columns that line up whatever script a name is in', () => {
    const names = ['Zürich', 'e\u0301te\u0301', '東京', '👩‍🚀 crew', 'Ελλάδα', ''];
    const lines = tableOf(shown(names.map((name, i) => node(`n${i}`, { name }))));
    const at = lines.map((line) => cellsOf(line.slice(0, line.search(/KIND|pull/))));
    expect(new Set(at).size).toBe(1);
  });

  test('lets no label steer the terminal', () => {
    const text = shown([node('evil', { name: '\u001b[2J\u202egnp\n', version: '\u009b31m' })]).join('\n');
    expect(text).toContain('�[2J�gnp�');
    expect(text).toContain('�31m');
  });

  test('colours what is fitted, so that a colour takes no cells', () => {
    const paint: View['paint'] = (color, text) => `<${color}>${text}</>`;
    const lines = shown(FLEET, { width: 80, paint });
    expect(lines.join('\n')).toMatch(/<red>unreachable<\/> .*<red>warning<\/> {2}paris-1/s);
    expect(lines.map((line) => line.replaceAll(/<\/?\w*>/g, ''))).toEqual(shown(FLEET, { width: 80 }));
  });

  test('says of an empty fleet how to have a node', () => {
    expect(shown([]).join('\n')).toMatch(
      /No nodes are linked to the router central yet.*join.*plugin-proxy.*plugin-ssh/s,
    );
  });

  test('shows 1,000 nodes; where the screen is small, those in trouble first, and how many are not there', () => {
    const nodes = Array.from({ length: 1000 }, (_, i) => node(`n${i}`, i % 100 === 99 ? AWAY : {}));
    const all = shown(nodes, { width: 80 });
    expect(tableOf(all)).toHaveLength(1001);
    expect(all.at(-2)).toBe('warning  There are 3 more like these.');
    const some = shown(nodes, { width: 80, height: 24 });
    expect(some.length - 1).toBe(24);
    expect(some[0]).toBe('router central, 1000 nodes: 990 up, 10 unreachable');
    const table = tableOf(some);
    expect(table.slice(1, 11).every((line) => line.includes('unreachable'))).toBe(true);
    expect(table.at(-1)).toMatch(/^… and 989 lines more/);
    for (const line of some) expect(cellsOf(line)).toBeLessThanOrEqual(80);
    for (const height of [5, 8, 12]) expect(shown(nodes, { width: 80, height }).length - 1).toBeLessThanOrEqual(height);
  });
});

test('one node is told in full, its actions in lines that fit', () => {
  const actions = Array.from({ length: 30 }, (_, i) => `ACTION_${i}`);
  const text = nodeText(
    node('paris-1', { name: 'Paris', actions, ...AWAY, subnodes: ['bergen'] }),
    view({ width: 60 }),
  );
  expect(text).toMatch(/^paris-1 \(Paris\) is unreachable\n {2}kind {8}pull\n {2}address {5}10\.0\.0\.7:41522\n/);
  expect(text).toContain('last PONG   2026-11-25 11:45:50 +00:00, 14 min ago\n');
  expect(text).toMatch(/ {2}actions {5}ACTION_0 .*ACTION_29\n {2}subnodes {4}bergen\n/s);
  expect(text).toMatch(/\nwarning {2}paris-1 is unreachable: no answer for 14 min, since .*\n$/);
  for (const line of text.split('\n').slice(0, -2)) expect(line.length).toBeLessThanOrEqual(60);
});

test('text is cut between characters, not within them', () => {
  expect(cut('東京タワー', 5)).toBe('東京…');
  expect(cut('abcdef', 6)).toBe('abcdef');
  expect(cut('abcdefgh', 5, 'middle')).toBe('ab…gh');
  expect(cut('abc', 0)).toBe('');
  expect(cellsOf('👩‍🚀')).toBe(2);
  expect(plain('ok\tno')).toBe('ok�no');
});
