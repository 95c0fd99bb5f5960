import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { Client, newToken, whoOf } from './second-implementation.ts';

const MAX_MESSAGE = 64 * 1024;
const daemon = new DaemonProcess({
  core: { maxMessage: '64KiB' },
  plugins: ['plugins/action', 'test/fixtures/probe'].map((folder) => ({ package: path.join(ROOT, folder) })),
});
const clients: Client[] = [];
let alice: Client;
let node: Client;
let relay: Client;
let limited: Client;
let root: Client;

beforeAll(async () => {
  const all = [
    daemon.client('alice'),
    daemon.client('paris-1', ['node']),
    daemon.client('relay', ['router']),
    daemon.client('ci', ['client'], { actions: ['COMMAND'], targets: ['paris-1'] }),
    daemon.client('root', ['admin']),
  ].map(whoOf);
  await daemon.start();
  for (const who of all) clients.push(await Client.connect(daemon, who));
  [alice, node, relay, limited, root] = clients as [Client, Client, Client, Client, Client];
});
afterAll(async () => {
  for (const client of clients) await client.close();
  await daemon.dispose();
});

/** `text` with a token in the place of `%`, and what it is answered. */
async function verdict(client: Client, text: string | ((token: string) => string)): Promise<unknown> {
  const token = newToken();
  return client.verdict(typeof text === 'string' ? text.replace('%', token) : text(token), token);
}

function nested(levels: number): string {
  return `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;
}

describe('a message is malformed', () => {
  const cases: [string, string | Buffer, string?][] = [
    ['without anything', ''],
    ['without brackets', 'PING'],
    ['without a TOKEN', '[PING]'],
    ['without a TARGET', '[PING] [t1]', 't1'],
    ['with an open TARGET', '[PING] [t2] [', 't2'],
    ['with an open TOKEN', '[PING] [t3'],
    ['with a space before it', ' [PING] [] []'],
    ['with two spaces', '[PING]  [] []'],
    ['with two spaces later', '[PING] [t4]  []', 't4'],
    ['with no space', '[PING][][]'],
    ['with no space before DATA', '[PING] [t5] []{}', 't5'],
    ['with a tab', '[PING]\t[] []'],
    ['with a line end', '[PING] [t6] []\n', 't6'],
    ['with a zero', '[PING] [t7] []\0', 't7'],
    ['with a byte order mark', '\ufeff[PING] [] []'],
    ['with an empty ACTION', '[] [t8] []', 't8'],
    ['with an ACTION in small letters', '[ping] [t9] []', 't9'],
    ['with an ACTION that begins with a digit', '[1PING] [t10] []', 't10'],
    ['with an ACTION of other letters', '[PÏNG] [t11] []', 't11'],
    ['with an ACTION of 65 characters', `[${'A'.repeat(65)}] [t12] []`, 't12'],
    ['with a TOKEN of 256 characters', `[PING] [${'t'.repeat(256)}] []`],
    ['with a space in its TOKEN', '[PING] [a b] []'],
    ['with a letter that is none in its TOKEN', '[PING] [é] []'],
    ['with a slash in its TOKEN', '[PING] [a/b] []'],
    ['with a bracket in its TOKEN', '[PING] [a[b] []'],
    ['with a TARGET of 65 characters', `[PING] [t13] [${'n'.repeat(65)}]`, 't13'],
    ['with a colon in its TARGET', '[PING] [t14] [a:b]', 't14'],
    ['with a slash in its TARGET', '[PING] [t15] [../x]', 't15'],
    ['with DATA that is a list', '[PING] [t16] [] []', 't16'],
    ['with DATA that is null', '[PING] [t17] [] null', 't17'],
    ['with DATA that is a text', '[PING] [t18] [] "x"', 't18'],
    ['with DATA that is a number', '[PING] [t19] [] 1', 't19'],
    ['with DATA that does not end', '[PING] [t20] [] {"a":1', 't20'],
    ['with DATA that ends twice', '[PING] [t21] [] {"a":1}}', 't21'],
    ['with words after DATA', '[PING] [t22] [] {} x', 't22'],
    ['with DATA of no JSON', "[PING] [t23] [] {'a':1}", 't23'],
    ['with a comma too many', '[PING] [t24] [] {"a":1,}', 't24'],
    ['with NaN', '[PING] [t25] [] {"a":NaN}', 't25'],
    ['with a bare line end in a text', '[PING] [t26] [] {"a":"\n"}', 't26'],
    ['with 33 levels', `[PING] [t27] [] ${nested(33)}`, 't27'],
    ['with 33 levels of lists', `[PING] [t28] [] {"a":${'['.repeat(32)}${']'.repeat(32)}}`, 't28'],
    ['with 20,000 levels', `[PING] [t29] [] {"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 't29'],
    ['with the key __proto__', '[PING] [t30] [] {"__proto__":{}}', 't30'],
    ['with the key __proto__ far inside', '[PING] [t31] [] {"a":[[{"b":{"__proto__":1}}]]}', 't31'],
    ['with the key __proto__ written otherwise', '[PING] [t32] [] {"\\u005f_proto\\u005f_":1}', 't32'],
    ['with the key __proto__ in its envelope', '[PING] [t33] [] {"$":{"__proto__":{"from":"x"}}}', 't33'],
    ['of KILL without its ID', '[KILL] [t34] [] [action]', 't34'],
    ['of KILL with words after its ID', '[KILL] [t35] [] [action] [1] x', 't35'],
    ['of KILL with a control character in its ID', '[KILL] [t36] [] [action] [a\u0001b]', 't36'],
    ['of KILL that does not end', '[KILL] [t37] [] [action] [1', 't37'],
    ['of another action in the form of KILL', '[PING] [t38] [] [action] [1]', 't38'],
    ['in Latin-1', Buffer.from('[PING] [] [] {"a":"é"}', 'latin1')],
    ['with an overlong form', Buffer.from('5b50494e475d205b5d205b5d207b2261223a22c0af227d', 'hex')],
    ['with a lone surrogate', Buffer.from('5b50494e475d205b5d205b5d207b2261223a22eda080227d', 'hex')],
    ['with a character beyond the last', Buffer.from('5b50494e475d205b5d205b5d207b2261223a22f4908080227d', 'hex')],
    ['with a cut character', Buffer.from('5b50494e475d205b5d205b5d207b2261223a22e282227d', 'hex')],
  ];
  test.each(cases)('%s', async (_, message, token = '') => {
    const { code, data } = await alice.ask(message, token);
    expect([code, data.error]).toEqual([1, 'MALFORMED_FRAME']);
    expect(String(data.message).length).toBeGreaterThan(30);
  });

  test('but not at the limits of each part', async () => {
    const longest = 'T'.repeat(255);
    expect(await alice.verdict(`[PING] [${longest}] []`, longest)).toBe('accepted');
    expect(await verdict(alice, '[PING] [a.b_c:d-E9] []'.replace('a.b_c:d-E9', '%'))).toBe('accepted');
    expect(await verdict(alice, `[${'A'.repeat(64)}] [%] []`)).toBe('UNKNOWN_ACTION');
    expect(await verdict(alice, '[A] [%] []')).toBe('UNKNOWN_ACTION');
    expect(await verdict(alice, '[A_-9] [%] []')).toBe('UNKNOWN_ACTION');
    expect(await verdict(alice, `[PING] [%] [${'n'.repeat(64)}]`)).toBe('UNKNOWN_TARGET');
    expect(await verdict(alice, `[PING] [%] [] ${nested(32)}`)).toBe('INVALID_DATA');
    expect(await verdict(alice, '[PING] [%] [] {"proto":1}')).toBe('INVALID_DATA');
    expect(await verdict(alice, '[PING] [%] [] {}')).toBe('accepted');
    expect(await verdict(alice, '[PING] [%] [central]')).toBe('accepted');
  });
});

test('the order is form, action, role, target, data', async () => {
  expect(await verdict(node, '[NO_SUCH] [%] [nowhere] {')).toBe('MALFORMED_FRAME');
  expect(await verdict(node, '[NO_SUCH] [%] [nowhere] {"x":1}')).toBe('UNKNOWN_ACTION');
  expect(await verdict(node, '[COMMAND] [%] [nowhere] {"x":1}')).toBe('FORBIDDEN');
  expect(await verdict(alice, '[COMMAND] [%] [nowhere] {"x":1}')).toBe('UNKNOWN_TARGET');
  expect(await verdict(alice, '[COMMAND] [%] [central] {"x":1}')).toBe('INVALID_DATA');
  expect(await verdict(alice, '[COMMAND] [%] [nowhere] {"$":{"from":"bob"}}')).toBe('UNKNOWN_TARGET');
  expect(await verdict(alice, '[NO_SUCH] [%] [] {"$":7}')).toBe('UNKNOWN_ACTION');
});

test('a message of more than maxMessage is TOO_LARGE under its token, and the session goes on', async () => {
  const sized = (token: string, bytes: number) => {
    const start = `[COMMAND] [${token}] [] {"command":["true","`;
    return `${start}${'x'.repeat(bytes - start.length - 3)}"]}`;
  };
  expect(await verdict(alice, (token) => sized(token, MAX_MESSAGE + 1))).toBe('TOO_LARGE');
  expect(await verdict(alice, (token) => sized(token, MAX_MESSAGE))).toBe('accepted');
  // Bytes count, not characters.
  const text = (token: string) => `[COMMAND] [${token}] [] {"command":["true","${'é'.repeat(MAX_MESSAGE / 2)}"]}`;
  expect(await verdict(alice, text)).toBe('TOO_LARGE');
  expect(await alice.verdict('x'.repeat(MAX_MESSAGE + 1))).toBe('TOO_LARGE');
});

test('the envelope is checked and taken off before the data', async () => {
  const later = Math.floor(Date.now() / 1000) + 3600;
  const right = [
    '{}',
    '{"hold":true}',
    '{"hold":false}',
    `{"deadline":${later}}`,
    '{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}',
  ];
  for (const envelope of right) {
    const text = `[COMMAND] [%] [] {"command":"true","$":${envelope}}`;
    expect([envelope, await verdict(alice, text)]).toEqual([envelope, 'accepted']);
  }
  const wrong = [
    'null',
    '7',
    '"x"',
    '[]',
    '{"hold":1}',
    '{"hold":"yes"}',
    '{"deadline":"soon"}',
    '{"deadline":1.5}',
    '{"deadline":-1}',
    '{"traceparent":7}',
    '{"from":"bob"}',
    '{"from":"alice"}',
    '{"from":null}',
    '{"hops":[]}',
    '{"hops":["central"]}',
  ];
  for (const client of [alice, root]) {
    for (const envelope of wrong) {
      const text = `[COMMAND] [%] [] {"command":"true","$":${envelope}}`;
      expect([envelope, await verdict(client, text)]).toEqual([envelope, 'INVALID_DATA']);
    }
  }
  expect(await verdict(alice, '[PING] [%] [] {"$":{"from":"bob"}}')).toBe('INVALID_DATA');
  const nine = JSON.stringify(Array.from({ length: 9 }, (_, i) => `node-${i}`));
  for (const envelope of [
    '{"from":"a b"}',
    '{"from":7}',
    '{"from":""}',
    `{"hops":${nine}}`,
    '{"hops":"x"}',
    '{"hops":[7]}',
  ]) {
    const text = `[COMMAND] [%] [] {"command":"true","$":${envelope}}`;
    expect([envelope, await verdict(relay, text)]).toEqual([envelope, 'INVALID_DATA']);
  }
  expect(await verdict(relay, '[COMMAND] [%] [] {"command":"true","$":{"from":"bob","hops":["x"]}}')).toBe('accepted');
});

test('roles: default deny', async () => {
  const asks: Record<string, string> = {
    COMMAND: '{"command":"true"}',
    PING: '{}',
    GETTHUMBPRINT: '{}',
    GETLOG: '{"id":0,"limit":1}',
    FOLLOW: '{"token":"nobody.uses.this"}',
    PUTLOG: '{"token":"put.%","code":10,"data":1}',
    INFORMATION: '{}',
    KEYS: '{}',
    KILL: '{"type":"action","id":"no such"}',
  };
  const table: [string, Client, string][] = [
    ['client', alice, 'COMMAND PING GETTHUMBPRINT GETLOG FOLLOW PUTLOG INFORMATION'],
    ['node', node, 'PING GETTHUMBPRINT GETLOG FOLLOW PUTLOG'],
    ['router', relay, 'COMMAND PING GETTHUMBPRINT GETLOG FOLLOW PUTLOG INFORMATION KILL'],
    ['admin', root, 'COMMAND PING GETTHUMBPRINT GETLOG FOLLOW PUTLOG INFORMATION KEYS KILL'],
  ];
  for (const [role, client, allowed] of table) {
    for (const [action, data] of Object.entries(asks)) {
      const said = await verdict(client, (token) => `[${action}] [${token}] [] ${data.replace('%', token)}`);
      const right = action === 'KILL' ? 'UNKNOWN_INSTANCE' : 'accepted';
      expect([role, action, said]).toEqual([role, action, allowed.split(' ').includes(action) ? right : 'FORBIDDEN']);
    }
  }
});

test('the lists of a grant say which actions, and on which nodes', async () => {
  expect(await verdict(limited, '[COMMAND] [%] [] {"command":"true"}')).toBe('FORBIDDEN');
  expect(await verdict(limited, '[COMMAND] [%] [central] {"command":"true"}')).toBe('FORBIDDEN');
  expect(await verdict(limited, '[COMMAND] [%] [lyon-2] {"command":"true"}')).toBe('FORBIDDEN');
  expect(await verdict(limited, '[COMMAND] [%] [paris-1] {"command":"true"}')).toBe('NODE_UNREACHABLE');
  expect(await verdict(limited, '[ECHO] [%] [paris-1] {}')).toBe('FORBIDDEN');
  expect(await verdict(limited, '[PING] [%] []')).toBe('accepted');
});

test('a refusal leaves no trace: its token is free for anybody', async () => {
  const refused: [Client, string, string][] = [
    [alice, '[COMMAND] [%] [] {"command":7}', 'INVALID_DATA'],
    [alice, '[COMMAND] [%] [nowhere] {"command":"true"}', 'UNKNOWN_TARGET'],
    [node, '[COMMAND] [%] [] {"command":"true"}', 'FORBIDDEN'],
    [alice, '[COMMAND] [%] [] {"command":"true","$":{"hops":[]}}', 'INVALID_DATA'],
    [alice, '[COMMAND] [%] [] {', 'MALFORMED_FRAME'],
  ];
  for (const [client, text, error] of refused) {
    const token = newToken();
    expect(await client.verdict(text.replace('%', token), token)).toBe(error);
    expect(await root.rows({ token })).toEqual([]);
    const rows = await root.run('COMMAND', { command: 'true' }, token);
    expect(rows.at(-1)).toMatchObject({ token, code: 2, data: { exitCode: 0 } });
  }
});

test('a refusal says what to change: the nearest action, the key that is wrong', async () => {
  const near = await alice.request('COMAND', { command: 'true' });
  expect(near.data.message).toContain('COMMAND');
  const wrong = await alice.request('COMMAND', { comand: 'true' });
  expect(wrong.data.message).toContain('comand');
});

test('an empty TOKEN gets a UUIDv7, later ones greater', async () => {
  const tokens: string[] = [];
  for (let i = 0; i < 5; i++) {
    await alice.send('[COMMAND] [] [] {"command":"true"}');
    const ack = await alice.take(({ verb, token }) => verb === 'ACK' && token.length === 36, 'an ACK with a token');
    expect(ack.token).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    tokens.push(ack.token);
  }
  expect([...tokens].sort()).toEqual(tokens);
  expect(new Set(tokens).size).toBe(5);
  for (const token of tokens) expect((await alice.rows({ token }))[0]).toMatchObject({ type: 'COMMAND', code: 0 });
});
