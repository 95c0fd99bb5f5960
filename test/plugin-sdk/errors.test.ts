import { inspect } from 'node:util';
import {
  CallRefusal,
  CentreondError,
  ERROR_TABLE,
  type ErrorCode,
  FrameError,
  failure,
  isRetryable,
} from '@centreond/protocol';
import { expect, test } from 'vitest';
import { fault } from '../../core/dist/errors.js';

/** Stands for any value that a sentence is told. */
const ANY = {
  action: 'A',
  address: 'tcp://127.0.0.1:1',
  by: '@local',
  bytes: 2,
  cause: 'signal SIGKILL',
  cluster: 'prod',
  count: 1,
  error: 'BUSY',
  event: 'E',
  file: 'history.sdb',
  have: ['paris'],
  id: '1',
  identity: 'alice',
  known: ['weather/1'],
  limit: 1,
  list: 'a',
  message: 'no',
  near: undefined,
  of: 2,
  open: 1,
  path: '/a',
  plugin: 'weather',
  program: 'ls',
  reason: 'it is full',
  reference: 'r',
  remedy: 'Ask.',
  router: 'central',
  seconds: 3,
  state: 'failed',
  target: 'paris',
  token: 't',
  type: 'weather',
  what: 'look',
};

test('every error of the table has the values that its sentence is told, and sends none of them', () => {
  for (const code of Object.keys(ERROR_TABLE) as ErrorCode[]) {
    const error = failure(code, ANY as never);
    expect(error.details, code).toEqual(ANY);
    expect(error.message, code).not.toContain('undefined');
    expect(error.retryable, code).toBe(isRetryable(code));
    expect(error.toData(), 'what travels').toEqual({ error: code, message: error.message });
  }
});

test('an error without values has empty details', () => {
  expect(failure('HANDSHAKE_REFUSED').details).toEqual({});
  expect(new CentreondError('MINE', 'My own.').details).toEqual({});
  expect(new CallRefusal('A', 'BUSY', 'Full.').details).toEqual({ action: 'A' });
  expect(new FrameError('no bracket', 't').details).toEqual({ reason: 'no bracket' });
  expect(new CallRefusal('A', 'INVALID_DATA', 'No.').asEnd().details).toEqual({
    action: 'A',
    error: 'INVALID_DATA',
    message: 'No.',
  });
});

test('details cannot be changed from outside, and stand in no log beside the sentence', () => {
  const told = { token: 't', seconds: 3 };
  const error = failure('WAIT_OVER', told);
  told.seconds = 4;
  expect(error.details).toEqual({ token: 't', seconds: 3 });
  expect(Object.keys(error)).not.toContain('details');
  expect(inspect(error)).not.toContain('seconds:');
  expect(new CentreondError('A', 'a', { cause: error }).cause).toBe(error);
});

test('the errors of the core have theirs', () => {
  expect(fault('NO_ROWS', { token: 't' }).details).toEqual({ token: 't' });
});

test('what the sentence tells to send or ask again may be sent again', () => {
  const again = Object.keys(ERROR_TABLE).filter((code) => {
    const { message } = failure(code as ErrorCode, ANY as never);
    return /\b(Send|send|Ask) (it )?again\b/.test(message) && !/new token|fix|Do not send/.test(message);
  });
  expect(again.filter((code) => !isRetryable(code))).toEqual([]);
});
