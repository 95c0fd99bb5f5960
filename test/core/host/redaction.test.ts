import { describe, expect, test } from 'vitest';
import { Redaction, shownOf } from '../../../core/dist/host/redaction.js';
import { isReport } from '../../../core/dist/host/reports.js';

describe('a secret is taken out', () => {
  test('of the strings of JSON, which stays JSON', () => {
    const redaction = new Redaction(['nope', '1234', 'message']);
    const data = { error: 'message', message: 'it said "\nope" and 1234', value: 51234, list: ['x nope'] };
    expect(JSON.parse(redaction.json(JSON.stringify(data)))).toEqual({
      error: 'message',
      message: 'it said "\nope" and [secret]',
      value: 51234,
      list: ['x [secret]'],
    });
    expect(new Redaction(['nope']).json('{"a":"\\nope"}')).toBe('{"a":"\\nope"}');
  });

  test('of what is not JSON, too', () => {
    expect(new Redaction(['planted']).json('{"a": planted')).toBe('{"a": [secret]');
  });

  test('of the reasons of nodes, and not of their ids', () => {
    const node = { id: 'centreon-poller-1', state: 'unreachable', reason: 'centreon was refused' };
    const message = `[ANNOUNCE] [t] [] ${JSON.stringify({ nodes: [node], gone: ['centreon-poller-2'] })}`;
    expect(shownOf(message, new Redaction(['centreon']))).toBe(
      message.replace('centreon was refused', '[secret] was refused'),
    );
  });

  test('of the refusal of a carried request, and not of its ACK', () => {
    const redaction = new Redaction(['planted']);
    const refused = '[CARRIED] [7] [] {"code":1,"data":{"error":"BUSY","message":"planted is busy"}}';
    expect(shownOf(refused, redaction)).toBe(refused.replace('planted', '[secret]'));
    const taken = '[CARRIED] [7] [] {"code":0,"data":{"note":"planted"}}';
    expect(shownOf(taken, redaction)).toBe(taken);
  });
});

test('an action whose name begins like a report is not one', () => {
  expect(isReport('[INSTANCEHEALTH] [ok] [] {}')).toBe(true);
  expect(isReport('[INSTANCEMETRICS] [] [] {}')).toBe(true);
  expect(isReport('[INSTANCESTART] [t] [] {}')).toBe(false);
  expect(isReport('[INSTANCE_EU_FORECAST] [t]')).toBe(false);
});
