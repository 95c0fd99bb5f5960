import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../daemon-process.ts';
import { Network } from './network.ts';
import { report } from './report.ts';
import { Wire } from './wire.ts';

const network = new Network();
const far = { address: network.address, port: network.nextPort() };
const sockets = new Set<net.Socket>();
let echo: net.Server;
let wire: Wire;

beforeAll(async () => {
  echo = net.createServer((socket) => {
    sockets.add(socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket)));
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(far.port, far.address, resolve));
});
beforeEach(async () => {
  wire = await Wire.between({ address: network.address, port: network.nextPort() }, far);
});
afterEach(() => wire.close());
afterAll(() => {
  echo.close();
  for (const socket of sockets) socket.destroy();
  network.close();
});

/** A connection over the wire, with what came back by it and how it ended. */
class Caller {
  text = '';
  ended: string | undefined;
  readonly socket: net.Socket;

  constructor() {
    const { hostname, port } = new URL(wire.endpoint);
    this.socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
    this.socket.setEncoding('utf8').on('data', (text: string) => (this.text += text));
    this.socket.on('error', (error: NodeJS.ErrnoException) => (this.ended = error.code));
    this.socket.on('close', () => (this.ended ??= 'closed'));
  }

  async says(text: string): Promise<number> {
    const since = performance.now();
    const wanted = this.text.length + text.length;
    this.socket.write(text);
    await until(`${text.length} characters are back`, () => this.text.length === wanted);
    return performance.now() - since;
  }
}

describe('the wire between the daemons of these tests', () => {
  test('forwards in order, counts, and lets each end leave', async () => {
    const caller = new Caller();
    const text = Array.from({ length: 200_000 }, (_, i) => i).join(' ');
    await caller.says(text);
    expect(caller.text === text).toBe(true);
    expect(wire.bytes).toEqual({ up: text.length, down: text.length });
    caller.socket.end();
    await until('both ends are closed', () => caller.ended === 'closed' && sockets.size === 0);
  });

  test('delays and throttles', async () => {
    const caller = new Caller();
    await caller.says('hello');
    wire.delayMs = 100;
    const delayed = await caller.says('hello');
    expect(delayed).toBeGreaterThan(195);
    wire.delayMs = 0;
    wire.bytesPerSecond = 200_000;
    expect(await caller.says('x'.repeat(100_000))).toBeGreaterThan(450);
  });

  test('resets, refuses while it is cut, and takes new connections once it is healed', async () => {
    const caller = new Caller();
    await caller.says('hello');
    wire.reset();
    await until('it is reset', () => caller.ended === 'ECONNRESET');
    await new Caller().says('hello');
    wire.cut();
    const refused = new Caller();
    await until('it is refused', () => refused.ended === 'ECONNREFUSED');
    await wire.heal();
    await new Caller().says('hello');
  });

  test('goes silent without a word to either end, and what was silenced stays so', async () => {
    const caller = new Caller();
    await caller.says('hello');
    wire.silence();
    const late = new Caller();
    await until('it is connected', () => late.socket.readyState === 'open');
    for (const one of [caller, late]) one.socket.write('swallowed');
    await wire.heal();
    await new Caller().says('hello');
    expect([caller.text, late.text]).toEqual(['hello', '']);
    expect([caller.ended, late.ended]).toEqual([undefined, undefined]);
    caller.socket.destroy();
    late.socket.destroy();
    expect(sockets.size).toBe(2);
  });
});

test.skipIf(!network.isolated)('what a run that was killed left behind is removed by the next one', async () => {
  const module = JSON.stringify(path.join(import.meta.dirname, 'network.ts'));
  const script = `const { Network } = await import(${module}); new Network().host(); console.log(process.pid); setInterval(() => {}, 1000);`;
  const run = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(run, 'exit');
  await once(run.stdout, 'data');
  const left = () =>
    [...readdirSync('/run/netns'), ...readdirSync('/sys/class/net')].filter((name) =>
      name.startsWith(`ctd${run.pid}-`),
    );
  expect(left()).toHaveLength(3);
  run.kill('SIGKILL');
  await gone;
  new Network().close();
  expect(left()).toEqual([]);
});

test('a machine of the network delays what it sends where the kernel has netem; elsewhere the wires do', () => {
  const machine = network.host();
  const netem = machine.impair(10, 1);
  report(`on ${network.description}; ${netem ? 'netem' : "no netem here: delays are the wires'"}`);
  if (netem) expect(machine.impair(0)).toBe(true);
});
