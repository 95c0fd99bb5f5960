import { LinkTransport, lineLogger } from '@centreond/plugin-runtime';
import type { Link, LinkOptions } from '@centreond/plugin-sdk/nodes';
import { CentreondError } from '@centreond/protocol';
import { type ClientLabel, signPss } from '@centreond/protocol/channel';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RouterLink } from '../../plugin-sdk/runtime/dist/router-link.js';
import { newKeys, TestRouter, until } from './test-router.ts';

const routerKeys = newKeys();
const ownKeys = newKeys();
let router: TestRouter;
let links: Link[] = [];
const signed: string[] = [];
const states: string[] = [];

beforeEach(async () => {
  router = await new TestRouter(routerKeys).bind();
  signed.length = 0;
  states.length = 0;
});
afterEach(async () => {
  await Promise.all(links.map((link) => link.close()));
  links = [];
  router.close();
});

/** A link of a plugin whose core has the key and signs. */
function link(more: Partial<LinkOptions> = {}): Link {
  const answer = async (text: string): Promise<object> => {
    if (text.startsWith('[ROUTERKEY]')) {
      const { jwk, thumbprint } = ownKeys;
      return { id: 'poller', hostname: 'host', version: '9.9.9', jwk, thumbprint };
    }
    const { label, hash } = JSON.parse(text.slice(text.indexOf('{'))) as { label: ClientLabel; hash: string };
    signed.push(label);
    const signature = await signPss(ownKeys.privateKey, label, Buffer.from(hash, 'base64url'));
    return { signature: signature.toString('base64url') };
  };
  const transport = new LinkTransport({
    wire: {
      send: (text) => {
        const token = text.split(/[[\]]/)[3] ?? '';
        void answer(text).then((data) =>
          transport.receive({ action: 'ACK', token, target: '', data: JSON.stringify({ code: 0, data }) }),
        );
      },
    },
    maxMessage: 10_000,
    log: lineLogger(() => {}),
    plugin: { type: 'proxy' },
  });
  const options = { address: router.endpoint, fingerprint: routerKeys.thumbprint };
  const made = transport.link({ ...options, onState: (state) => states.push(state), ...more });
  links.push(made);
  return made;
}

const live = () => [...router.live.values()].find(({ proven }) => proven);
const answers = () => router.frames.flat().filter((text) => text.startsWith('[ACK] ') || text.startsWith('[PONG] '));

describe('a link', () => {
  test("is a session of this router, for which the core signs the handshake's two parts", async () => {
    expect(await link().call('ECHO', { n: 1 })).toMatchObject({ ok: true, data: { n: 1 } });
    expect(live()?.identity).toBe('poller');
    expect(signed).toEqual(['client helo', 'client auth']);
    expect(states).toEqual(['connecting', 'up']);
  });

  test('sends a carried request on as it is, and passes the refusal back', async () => {
    const made = link();
    await until('it is up', () => states.at(-1) === 'up');
    const request = { action: 'ECHO', token: 't', target: 'lyon', data: { n: 1 } };
    const envelope = { from: 'alice', hops: ['central', 'poller'], deadline: 5 };
    expect(await made.forward({ ...request, envelope })).toMatchObject({ token: 't' });
    expect(await made.ping()).toMatchObject({ id: 'central' });
    const [sent] = router.requests.filter(({ action }) => action === 'ECHO');
    expect(JSON.parse(sent?.data ?? '')).toEqual({ n: 1, $: envelope });
    expect(sent).toMatchObject({ token: 't', target: 'lyon' });
    router.onRequest = (asked) => router.refuse(asked, 'FORBIDDEN');
    await expect(made.forward({ ...request, token: 'u', envelope })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('refuses to forward while it is down, tells so, and comes back', async () => {
    const made = link();
    await until('it is up', () => states.at(-1) === 'up');
    const { endpoint } = router;
    router.close();
    await until('it is down', () => states.at(-1) === 'connecting');
    const request = { action: 'ECHO', token: 't', target: 'lyon', data: {}, envelope: { from: 'alice', hops: [] } };
    await expect(made.forward(request)).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
    router = await new TestRouter(routerKeys).bind(endpoint);
    await until('it is up', () => states.at(-1) === 'up');
    expect(await made.forward(request)).toMatchObject({ token: 't' });
  });

  test('of several routers leads to the next where one is lost, and tells to which', async () => {
    const other = await new TestRouter(newKeys()).bind();
    other.id = 'other';
    const told: string[] = [];
    const made = link({
      others: [{ address: other.endpoint, fingerprint: other.keys.thumbprint }],
      onState: (state, _, address) => told.push(`${state} ${address}`),
    });
    await until('it is up', () => told.at(-1) === `up ${router.endpoint}`);
    router.close();
    await until('it is up at the other', () => told.at(-1) === `up ${other.endpoint}`);
    expect(told.slice(-2)).toEqual([`connecting ${router.endpoint}`, `up ${other.endpoint}`]);
    expect(await made.ping()).toMatchObject({ id: 'other' });
    expect(await made.call('ECHO', { n: 1 })).toMatchObject({ ok: true });
    expect(other.requests.map(({ action }) => action)).toContain('ECHO');
    other.close();
  });

  test('hands what comes down to onRequest, and its answer up', async () => {
    const taken: unknown[] = [];
    link({
      onRequest: async (request) => {
        taken.push(request);
        if (request.action === 'NO') throw new CentreondError('FORBIDDEN', 'not here');
        if (request.action === 'BUG') throw new Error('a bug');
        return { taken: true };
      },
    });
    await until('it is up', () => states.at(-1) === 'up');
    const down = live();
    if (!down) throw new Error('there is no session');
    router.say(
      down,
      '[DO] [t1] [poller] {"n":1,"$":{"from":"alice","hops":["central"],"deadline":9}}',
      '[NO] [t2] []',
      '[BUG] [t3] []',
      '[KILL] [t4] [] [acl] [7]',
      '[PING] [t5] []',
      '[DO] [t6] [] {"$":{"from":7}}',
      '[PING] [t7] [behind]',
    );
    await until('all are answered', () => answers().length === 7);
    expect(taken[0]).toEqual({
      action: 'DO',
      token: 't1',
      target: 'poller',
      data: { n: 1 },
      envelope: { from: 'alice', hops: ['central'], deadline: 9 },
    });
    expect(taken[3]).toMatchObject({
      action: 'KILL',
      data: { type: 'acl', id: '7' },
      envelope: { from: '', hops: [] },
    });
    expect(taken[4]).toMatchObject({ action: 'PING', target: 'behind' });
    expect(answers().sort()).toEqual([
      '[ACK] [t1] {"code":0,"data":{"taken":true}}',
      '[ACK] [t2] {"code":1,"data":{"error":"FORBIDDEN","message":"not here"}}',
      '[ACK] [t3] {"code":1,"data":{"error":"ACTION_FAILED","message":"a bug"}}',
      '[ACK] [t4] {"code":0,"data":{"taken":true}}',
      expect.stringMatching(/^\[ACK\] \[t6\] \{"code":1,"data":\{"error":"MALFORMED_FRAME"/),
      '[ACK] [t7] {"code":0,"data":{"taken":true}}',
      '[PONG] [t5] [] {"code":0,"data":{"id":"poller","hostname":"host","version":"9.9.9"}}',
    ]);
  });

  test('whose session is renewed says so: to the other router it is another one', async () => {
    const core = {
      async ask(action: string, data: { label?: ClientLabel; hash?: string }) {
        if (action === 'ROUTERKEY') {
          const { jwk, thumbprint } = ownKeys;
          return { id: 'poller', hostname: 'host', version: '9.9.9', jwk: { ...jwk }, thumbprint };
        }
        const hash = Buffer.from(data.hash ?? '', 'base64url');
        const signature = await signPss(ownKeys.privateKey, data.label ?? 'client helo', hash);
        return { signature: signature.toString('base64url') };
      },
    };
    const served: string[] = [];
    const made = new RouterLink(
      {
        address: router.endpoint,
        fingerprint: routerKeys.thumbprint,
        onState: (state, reason) => states.push(`${state} ${reason}`),
      },
      core,
      {
        up: (id) => served.push(`up ${id}`),
        down: () => served.push('down'),
        message: () => {},
        streamLogs: () => {},
        closed: () => {},
      },
      { renew: 150 },
    );
    links.push(made);
    await until('it is renewed', () => states.length >= 4);
    expect(states.slice(0, 4)).toEqual([
      'connecting it was not tried yet',
      'up ',
      'connecting its session is renewed',
      'up ',
    ]);
    expect(served.slice(0, 3)).toEqual(['up central', 'down', 'up central']);
    expect(await made.ping()).toMatchObject({ id: 'central' });
  });

  test('to a router with another key is not made', async () => {
    const made = link({ fingerprint: ownKeys.thumbprint });
    await until('it has tried', () => states.length > 0);
    await expect(made.call('ECHO', {}, { timeoutMs: 300 })).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
    expect(states).toEqual(['connecting']);
    const wrong = link({ fingerprint: 'none' });
    await expect(wrong.call('ECHO', {})).rejects.toMatchObject({ code: 'BROKEN_HANDSHAKE' });
    expect(states.at(-1)).toBe('unreachable');
  });
});
