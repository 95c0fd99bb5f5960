import { expect, test } from 'vitest';
import { eventText } from '../../../core/dist/cli/events.js';
import { momentText } from '../../../core/dist/cli/time.js';

const NOW = Date.parse('2026-11-28T09:36:32Z');

test('an event is a line, which goes on below itself on a narrow terminal', () => {
  const text = `The node paris is unreachable: ${'word '.repeat(30).trim()}.`;
  const event = { time: NOW, kind: 'NODE_DOWN', text };
  const pipe = eventText(event, { isTTY: false, columns: 0 });
  expect(pipe).toBe(`${momentText(NOW / 1000)}  NODE_DOWN           ${text}\n`);
  const lines = eventText({ ...event, text: `${text}\u001b[31m` }, { isTTY: true, columns: 80 }).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(lines.join(' ').replaceAll(/ +/g, ' ')).toContain(text.slice(0, 100));
  expect(lines.join('')).not.toContain('\u001b');
});
