import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Manifest } from '@centreond/plugin-sdk/internal';
import { failure, type JsonObject, parseJson, parseReply } from '@centreond/protocol';
import { expect, test } from 'vitest';
import type { Executor } from '../../core/dist/router/executor.js';
import type { Accepted, RequestRecord } from '../../core/dist/store/token-store.js';
import { MemoryStore } from '../core/router/memory-store.ts';
import { action, manifest, TestPeer, World } from '../core/router/world.ts';
import { ROOT } from '../daemon-process.ts';
import { fuzz, options, titled } from './campaign.ts';
import type { Dice } from './dice.ts';

/** PROTOCOL.md, section 2. */
const MAX_DEPTH = 32;
const MAX_ELEMENTS = 50_000;

const read = (folder: string): Manifest =>
  JSON.parse(readFileSync(path.join(ROOT, folder, 'plugin.manifest.json'), 'utf8'));
/** Checked by their real schemas. */
const REAL = [read('plugins/action'), read('plugins/files'), read('plugins/cron')];
const OPEN = ['TAKE', 'TELL'];
const CHECKED = REAL.flatMap(({ actions }) => actions.map(({ name }) => name));
const REFUSALS = new Set(['MALFORMED_FRAME', 'INVALID_DATA', 'FORBIDDEN', 'TOO_LARGE', 'STORE_FAILED']);

/** A store that writes nothing down and keeps what it was asked to. */
class Refusing extends MemoryStore {
  asked: RequestRecord | undefined;
  override accept(request: RequestRecord): Promise<Accepted> {
    this.asked = request;
    return Promise.reject(failure('STORE_FAILED', { reason: 'this store takes nothing' }));
  }
}

/** What the last question bore. */
let told: JsonObject | undefined;

const executor: Executor = {
  admit: () => undefined,
  ask: (_, data) => {
    told = data;
    return { data: '{}' };
  },
  submit: () => {},
  abort: () => {},
  withdraw: () => {},
  hearers: () => [],
  ids: () => [],
  kill: () => Promise.resolve(),
  status: () => ({ type: 'open', package: '', version: '', state: '', waiting: 0, instances: [] }),
};

const disk = new Refusing();
const world = new World(disk);
const open = [action('TAKE'), action('TELL', { reply: 'ack', idempotent: true })];
world.registry.add(manifest({ type: 'open', actions: open }), executor);
for (const one of REAL) world.registry.add(one, executor);
const peers = [new TestPeer('alice', 'client'), new TestPeer('root', 'admin'), new TestPeer('up', 'router', 'admin')];

interface Asked {
  readonly action: string;
  readonly target: string;
  readonly data: string;
  readonly peer: number;
}

const VALID = [
  { command: ['echo', 'é'], timeoutSeconds: 5, env: { A: 'b' }, cwd: '/' },
  { command: 'sleep 1', $: { hold: true, deadline: 9_999_999_999, traceparent: 'x'.repeat(55) } },
  { a: { b: [null, 1.5, { c: [] }] }, $: { from: 'bob', hops: ['a', 'b'] } },
  { files: [{ path: '/etc/hosts', mode: 420 }], to: 'all' },
];

/** Containers within one another, near the limit. */
function deep(dice: Dice): string {
  const levels = dice.chance(0.7) ? MAX_DEPTH - 3 + dice.below(6) : dice.pick([100, 1000, 5000, 60_000]);
  const open = Array.from({ length: levels }, () => dice.pick(['[', '{"a":'])).join('');
  const close = [...open.replaceAll('{"a":', '{')]
    .reverse()
    .map((c) => (c === '{' ? '}' : ']'))
    .join('');
  const padding = dice.chance(0.5) ? `"${'x'.repeat(5000)}"` : '1';
  return `{"a":${open}${padding}${dice.chance(0.9) ? close : ''}}`;
}

/** Keys or elements, near the limit. */
function wide(dice: Dice): string {
  const count = dice.chance(0.8) ? MAX_ELEMENTS - 3 + dice.below(6) : 2 * MAX_ELEMENTS;
  const space = dice.pick(['', '', ' ']);
  const of = dice.one<(i: number) => string>([
    () => () => '1',
    () => () => '{}',
    () => () => '[ ]',
    () => () => '"],{"',
  ]);
  if (dice.chance(0.5)) return `{"a":[${Array.from({ length: count - 1 }, (_, i) => of(i)).join(`,${space}`)}]}`;
  return `{${Array.from({ length: count }, (_, i) => `"k${i}":${of(i)}`).join(`,${space}`)}}`;
}

function long(dice: Dice): string {
  const part = dice.pick(['\\"', '\\\\', '\\u0041', '\\', '"', 'é', 'x', '[', '{"a":', ',']);
  const text = part.repeat(1 + Math.floor((20_000 + dice.below(150_000)) / part.length));
  return dice.pick([`{"a":"${text}"}`, `{"a":"${text}`, `{"${text}":1}`, text, `{"a":${text}}`]);
}

/** JSON with spaces, escapes and numbers as no serialiser writes them. */
function loose(dice: Dice, value: unknown): string {
  const space = () => dice.pick(['', '', '', ' ', '\n', '\t', '\r\n']);
  const text = (s: string) =>
    dice.chance(0.2)
      ? `"${[...s].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
      : JSON.stringify(s);
  const write = (one: unknown): string => {
    if (typeof one === 'string') return text(one);
    if (typeof one === 'number') return dice.pick([String(one), `${one}`, '1e309', '-0', '1E+2', '0.1e-7']);
    if (Array.isArray(one)) return `[${space()}${one.map(write).join(`${space()},${space()}`)}${space()}]`;
    if (typeof one !== 'object' || one === null) return String(one);
    const entries = Object.entries(one).map(([key, item]) => `${text(key)}${space()}:${space()}${write(item)}`);
    if (entries.length > 0 && dice.chance(0.1)) entries.push(entries[0] as string);
    return `{${space()}${entries.join(`${space()},${space()}`)}${space()}}`;
  };
  return space() + write(value) + space();
}

function asked(dice: Dice): Asked {
  const large = dice.chance(0.002);
  const data = large
    ? dice.one([() => wide(dice), () => deep(dice), () => long(dice)])
    : dice.one([
        () => JSON.stringify(dice.mutatedJson(dice.pick(VALID))),
        () => dice.mutated(Buffer.from(JSON.stringify(dice.pick(VALID)))).toString('latin1'),
        () => loose(dice, { a: dice.json(5) }),
        () => loose(dice, dice.mutatedJson(dice.pick(VALID))),
        () => JSON.stringify(dice.json(5)),
        () => (dice.chance(0.9) ? dice.anyText(50) : deep(dice).slice(0, 4000)),
      ]);
  const target = dice.pick(['', 'central']);
  return { action: dice.pick(dice.chance(0.6) ? OPEN : CHECKED), target, data, peer: dice.below(peers.length) };
}

/** What a limit of PROTOCOL.md section 2 says of parsed JSON, counted without the scanner. */
function limitsOf(value: unknown): { depth: number; elements: number; hasProto: boolean } {
  const out = { depth: 0, elements: 0, hasProto: false };
  const containers = (values: unknown[]) => values.filter((one) => typeof one === 'object' && one !== null) as object[];
  let level = containers([value]);
  while (level.length > 0) {
    out.depth++;
    out.hasProto ||= level.some((one) => !Array.isArray(one) && Object.hasOwn(one, '__proto__'));
    const inside = level.flatMap((one) => Object.values(one) as unknown[]);
    out.elements += inside.length;
    level = containers(inside);
  }
  return out;
}

function parsedOr(text: string): { value?: unknown } {
  try {
    return { value: parseJson(text === '' ? '{}' : text) };
  } catch {
    return {};
  }
}

/** Whether the shape of DATA is refused. Keys that are given twice count once here and twice for the scanner. */
function shapeFault(data: string): boolean {
  const { value } = parsedOr(data);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return true;
  const { depth, elements, hasProto } = limitsOf(value);
  return depth > MAX_DEPTH || hasProto || elements > MAX_ELEMENTS;
}

function without$(data: string): unknown {
  const { $: _, ...rest } = parsedOr(data).value as JsonObject;
  return rest;
}

function has$(data: string): boolean {
  return Object.hasOwn(parsedOr(data).value as object, '$');
}

/** What became of a request: its answer, and what its plugin or the store was handed. */
interface Outcome {
  readonly answers: readonly string[];
  readonly taken: string | undefined;
  readonly told: JsonObject | undefined;
}

async function receive({ action: name, target, data, peer: index }: Asked): Promise<Outcome> {
  const peer = peers[index] as TestPeer;
  peer.heard.length = 0;
  disk.asked = undefined;
  told = undefined;
  world.ladder.receive(peer, Buffer.from(`[${name}] [t] [${target}] ${data}`));
  for (let i = 0; i < 10 && peer.heard.length === 0; i++) await Promise.resolve();
  return { answers: [...peer.heard], taken: (disk.asked as RequestRecord | undefined)?.data, told };
}

function check({ action: name, data: sent }: Asked, { answers, taken, told }: Outcome): void {
  const [text = ''] = answers;
  if (answers.length !== 1) throw new Error(`it has ${answers.length} answers`);
  const wrong = (what: string) => new Error(`${what}: ${text.slice(0, 300)}`);
  const answer = parseReply(text);
  if (answer.action !== 'ACK' || answer.token !== 't') throw wrong('this is no answer');
  const { code, data: refusal } = JSON.parse(answer.data) as { code: number; data: { error?: string } };
  if (code === 1 && !REFUSALS.has(refusal.error ?? '')) throw wrong('it was refused for something else');
  // What the router decodes: a lone surrogate does not travel.
  const data = Buffer.from(sent).toString();
  if (shapeFault(data)) {
    // One that may not ask for this action is told that first, and DATA that passes two limits is refused for either.
    if (code !== 1 || taken || told) throw wrong('its shape is not allowed');
    return;
  }
  if (refusal.error === 'MALFORMED_FRAME') throw wrong('its shape is allowed');
  // Compared as the protocol compares DATA: parsed and written again.
  const right = JSON.stringify(without$(data));
  if (taken && JSON.stringify(parseJson(taken)) !== right) expect(taken).toBe(right);
  if (told && JSON.stringify(told) !== right) expect(told).toBe(right);
  if (OPEN.includes(name) && refusal.error === 'INVALID_DATA' && !has$(data))
    throw wrong('this action takes everything');
}

test(titled('DATA of any shape has one answer, and what is taken is what was sent'), options, () =>
  fuzz<Asked, Outcome>({
    name: 'json',
    cases: 2_500_000,
    make: asked,
    run: receive,
    check,
    show: (one) => JSON.stringify(one),
  }),
);
