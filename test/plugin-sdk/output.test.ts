import { Writable } from 'node:stream';
import { beforeEach, expect, test } from 'vitest';
import { attributeOutput } from '../../plugin-sdk/runtime/dist/output.js';

let seat: number | undefined;
let written: string[];
let stream: NodeJS.WriteStream;
beforeEach(() => {
  written = [];
  stream = new Writable({
    write: (chunk: Buffer, _, done) => {
      written.push(chunk.toString());
      done();
    },
  }) as unknown as NodeJS.WriteStream;
  attributeOutput(stream, () => seat);
});

function says(who: number | undefined, text: string | Buffer): void {
  seat = who;
  stream.write(text);
}
const lines = () => written.join('').split('\n').slice(0, -1);

test('a line that is written in pieces is one entry of its writer, whatever others write between', () => {
  says(1, 'a sec');
  says(2, 'of the other\n');
  says(undefined, 'of nobody\n');
  says(1, 'ret\nand');
  says(1, ' more\n');
  expect(lines()).toEqual([
    '{"level":"info","$":{"seat":2},"msg":"of the other"}',
    'of nobody',
    '{"level":"info","$":{"seat":1},"msg":"a secret"}',
    '{"level":"info","$":{"seat":1},"msg":"and more"}',
  ]);
});

test('a character that is split over two writes is whole', () => {
  const bytes = Buffer.from('für\n');
  says(1, bytes.subarray(0, 2));
  says(1, bytes.subarray(2));
  expect(lines()).toEqual(['{"level":"info","$":{"seat":1},"msg":"für"}']);
});

test('what is never ended by a line takes no more memory than a line', () => {
  for (let i = 0; i < 100; i++) says(1, 'x'.repeat(1000));
  const kept = 100_000 - lines().reduce((sum, line) => sum + (JSON.parse(line) as { msg: string }).msg.length, 0);
  expect(kept).toBeLessThanOrEqual(8192);
});
