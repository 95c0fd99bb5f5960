import { formatMessage } from '@centreond/protocol';
import { describe, expect, test } from 'vitest';
import { packLength } from '../../plugin-sdk/runtime/dist/link.js';

describe('a pack of the internal door', () => {
  const call = (token: string) => formatMessage('ECHO', token, '', {});
  const follow = formatMessage('FOLLOW', 'r:1', '', { token: 't' });

  test('has 128 messages at most, or 256 Ki characters', () => {
    expect(packLength([])).toBe(0);
    expect(packLength(Array.from({ length: 300 }, () => call('t')))).toBe(128);
    expect(packLength(Array.from({ length: 3 }, () => 'x'.repeat(200_000)))).toBe(2);
  });

  test.each([
    ['of the plugin', follow],
    ['of one of its callers', formatMessage('CALLED', '7', '', follow)],
  ])('ends with the FOLLOW of its last call, %s', (_, asked) => {
    const queue = Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? call('t') : asked));
    expect(packLength(queue)).toBe(128);
    expect(packLength([call('odd'), ...queue])).toBe(129);
    expect(packLength(['x'.repeat(300_000), asked, asked])).toBe(2);
  });
});
