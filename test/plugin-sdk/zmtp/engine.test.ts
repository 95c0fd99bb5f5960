import type { Socket } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Engine } from '../../../plugin-sdk/protocol/dist/zmtp/engine.js';
import { GREETING, READY, type SocketType } from '../../../plugin-sdk/protocol/dist/zmtp/wire.js';
import { command, frame } from '../../core/doors/zmtp/listening.ts';

const MAX = 10_000;

/** An engine over a socket that keeps what is written. */
function running(type: SocketType) {
  const written: Buffer[] = [];
  const heard: string[] = [];
  const told: string[] = [];
  const socket = {
    writableLength: 0,
    writableNeedDrain: false,
    write: (bytes: Buffer) => written.push(Buffer.from(bytes)),
    cork: () => {},
    uncork: () => {},
    pause: () => {},
    resume: () => {},
  };
  const engine = new Engine(
    socket as unknown as Socket,
    { type, maxMessage: MAX, maxPending: 1_000_000 },
    {
      opened: () => told.push('opened'),
      message: (body) => heard.push(body.toString('latin1')),
      failed: (fault) => told.push(fault),
    },
  );
  /** What was written since the last call, as one chunk. */
  const taken = () => Buffer.concat(written.splice(0));
  return { engine, heard, told, taken, socket };
}

function* cut(stream: Buffer, cuts: readonly number[]): Generator<Buffer> {
  for (let at = 0, i = 0; at < stream.length; i++) {
    const size = 1 + ((cuts[i % cuts.length] as number) % (stream.length - at));
    yield stream.subarray(at, at + size);
    at += size;
  }
}

const aCut = fc.array(fc.nat(5000), { minLength: 1, maxLength: 20 });
const bodies = fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 20 });

test('two engines hand each other every message, however their streams are cut', () => {
  fc.assert(
    fc.property(bodies, bodies, aCut, (there, back, cuts) => {
      const dealer = running('DEALER');
      const router = running('ROUTER');
      const pass = (from: ReturnType<typeof running>, to: ReturnType<typeof running>) => {
        for (const chunk of cut(from.taken(), cuts)) to.engine.receive(Buffer.from(chunk));
      };
      for (let i = 0; i < 3; i++) {
        pass(dealer, router);
        pass(router, dealer);
      }
      expect([dealer.told, router.told]).toEqual([['opened'], ['opened']]);
      for (const body of there) dealer.engine.send(Buffer.from(body));
      for (const body of back) router.engine.send(Buffer.from(body).toString('latin1'));
      pass(dealer, router);
      pass(router, dealer);
      expect(router.heard).toEqual(there.map((body) => Buffer.from(body).toString('latin1')));
      expect(dealer.heard.map((text) => Buffer.from(text, 'latin1').toString())).toEqual(
        back.map((body) => Buffer.from(body).toString('latin1')),
      );
    }),
  );
});

test('whatever comes, an engine fails at most once, hands up nothing after that and keeps little', () => {
  const word = fc.oneof(
    fc.constant(GREETING),
    fc.constant(READY.DEALER),
    fc.constant(READY.ROUTER),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => frame(Buffer.from(bytes))),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => command('PING', Buffer.from(bytes))),
    fc.constantFrom('PONG', 'READY', 'ERROR', 'CANCEL', '').map((name) => command(name)),
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  );
  const type = fc.constantFrom<SocketType>('DEALER', 'ROUTER');
  fc.assert(
    fc.property(type, fc.boolean(), fc.array(word, { maxLength: 30 }), aCut, (own, isShaken, words, cuts) => {
      const { engine, told, heard } = running(own);
      const start = isShaken ? [GREETING, READY[own === 'DEALER' ? 'ROUTER' : 'DEALER']] : [];
      const stream = Buffer.concat([...start, ...words]);
      let heardAtFailure: number | undefined;
      for (const chunk of cut(stream, cuts)) {
        engine.receive(Buffer.from(chunk));
        const failures = told.filter((one) => one !== 'opened');
        expect(failures.length).toBeLessThan(2);
        if (failures.length === 1) heardAtFailure ??= heard.length;
        expect(engine.retainedBytes).toBeLessThan(2 * MAX + 20_000);
      }
      if (heardAtFailure !== undefined) expect(heard.length).toBe(heardAtFailure);
      expect(told.filter((one) => one === 'opened').length).toBeLessThan(2);
    }),
    { numRuns: 2000 },
  );
});

test('a peer that does not read is owed no PONG', () => {
  const { engine, socket, taken } = running('ROUTER');
  engine.receive(Buffer.concat([GREETING, READY.DEALER]));
  taken();
  engine.receive(command('PING', '\0\0abc'));
  expect(taken()).toEqual(command('PONG', 'abc'));
  socket.writableNeedDrain = true;
  engine.receive(command('PING', '\0\0abc'));
  expect(taken().length).toBe(0);
});
