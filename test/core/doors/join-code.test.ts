import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../../core/dist/config/config.js';
import { configSchema } from '../../../core/dist/config/editor-schema.js';
import { differenceFrom, linksIn } from '../../../core/dist/config/poller-config.js';
import { pollerConfig } from '../../../core/dist/config/templates.js';
import { formatJoinCode, isDoorAddress, parseJoinCode } from '../../../core/dist/doors/join-code.js';
import { reachOf } from '../../../core/dist/doors/reach.js';
import { ROOT } from '../../daemon-process.ts';

const joining = {
  identity: 'paris-1',
  address: 'tcp://[2001:db8::5]:5555',
  router: 'K08kPgYsA27HBTOkhrG2qcOHH3Sbk54Pi6UvgaAhPdQ',
  token: 'Q1dPykjToeSXT2ZjYjLhXCGKwpA8CXX9',
  others: [],
};
const other = { address: 'tcp://central-b:5555', fingerprint: 'E7L-uohg6OJu5_SRlSQ8utZgMzgojU6EiOo9HVdr9IY' };
const broken = (what: string) => expect.objectContaining({ code: 'JOIN_CODE', message: expect.stringContaining(what) });

describe.each([
  ['a join code', []],
  ['a join code of several routers', [other, { ...other, address: 'tcp://10.0.0.7:5555' }]],
])('%s', (_, others) => {
  const several = { ...joining, others };
  const code = formatJoinCode(several);

  test('is one word that no shell changes, and bears all of it', () => {
    expect(code).toMatch(/^join1\.[A-Za-z0-9_-]+$/);
    expect(parseJoinCode(code)).toEqual(several);
  });

  test('tells when it is cut anywhere, or when any of its characters is another', () => {
    for (let i = 0; i < code.length; i++) {
      expect(() => parseJoinCode(code.slice(0, i)), String(i)).toThrow(broken(i < 6 ? 'join1.' : 'not whole'));
      for (const other of ['A', 'b', '=', ' ', '-']) {
        if (code[i] === other) continue;
        const changed = code.slice(0, i) + other + code.slice(i + 1);
        expect(() => parseJoinCode(changed), changed).toThrow(broken(i < 6 ? 'join1.' : 'not whole'));
      }
    }
    for (const more of [`${code}A`, `${code} `, `${code}=`, `${code}${code}`]) {
      expect(() => parseJoinCode(more)).toThrow(broken('not whole'));
    }
  });

  test('whose sum is right and whose parts are none is of another version', () => {
    for (const odd of [
      { identity: '..' },
      { address: 'udp://a:1' },
      { address: 'tcp://*:5555' },
      { router: 'short' },
      { token: 'x' },
      { token: `${joining.token} more` },
      { others: [...others, { ...other, address: 'tcp://*:5555' }] },
      { others: [...others, { ...other, fingerprint: 'short' }] },
      { others: Array(16).fill(other) },
    ]) {
      expect(() => parseJoinCode(formatJoinCode({ ...several, ...odd }))).toThrow(broken('another version'));
    }
  });
});

test('a join code of one router is the one that older nodes read, and one of several has the words that they do not', () => {
  const old =
    'join1.cGFyaXMtMSB0Y3A6Ly9bMjAwMTpkYjg6OjVdOjU1NTUgSzA4a1BnWXNBMjdIQlRPa2hyRzJxY09ISDNTYms1NFBpNlV2Z2FBaFBkUSBRMWRQeWtqVG9lU1hUMlpqWWpMaFhDR0t3cEE4Q1hYOQLV-qmyfQ';
  expect(formatJoinCode(joining)).toBe(old);
  const words = Buffer.from(formatJoinCode({ ...joining, others: [other] }).slice(6), 'base64url').toString('latin1');
  // They take the first four for one router, and refuse a code with more as that of another version.
  expect(words.split(' ').slice(0, 4)).toEqual([joining.identity, joining.address, joining.router, joining.token]);
  expect(words.split(' ')[4]).toBe(other.address);
});

test.each([
  ['tcp://10.0.0.5:5555', true],
  ['tcp://central.example:1', true],
  ['tcp://[::1]:65535', true],
  ['tcp://0.0.0.0:5555', false],
  ['tcp://[::]:5555', false],
  ['tcp://*:5555', false],
  ['tcp://10.0.0.5:*', false],
  ['tcp://10.0.0.5:0', false],
  ['tcp://10.0.0.5:65536', false],
  ['tcp://10.0.0.5', false],
  ['10.0.0.5:5555', false],
])('%s is an address to connect to: %s', (address, expected) => expect(isDoorAddress(address)).toBe(expected));

test('a door is reached by its address, from this machine alone, or by every address of its networks', () => {
  const interfaces = () => [
    { address: '127.0.0.1', family: 'IPv4' as const, internal: true },
    { address: 'fe80::1', family: 'IPv6' as const, internal: false },
    { address: '2001:db8::5', family: 'IPv6' as const, internal: false },
    { address: '10.0.0.5', family: 'IPv4' as const, internal: false },
    { address: '169.254.3.4', family: 'IPv4' as const, internal: false },
  ];
  const reach = (endpoint: string) => reachOf(endpoint, interfaces);
  expect(reach('tcp://10.0.0.5:5555')).toEqual({ kind: 'address', addresses: ['tcp://10.0.0.5:5555'] });
  expect(reach('tcp://127.0.0.1:5555').kind).toBe('loopback');
  expect(reach('tcp://[::1]:5555').kind).toBe('loopback');
  expect(reach('tcp://0.0.0.0:5555')).toEqual({ kind: 'any', addresses: ['tcp://10.0.0.5:5555'] });
  expect(reach('tcp://[::]:7')).toEqual({ kind: 'any', addresses: ['tcp://10.0.0.5:7', 'tcp://[2001:db8::5]:7'] });
});

describe('the config of a node', () => {
  const example = path.join(ROOT, 'config/poller.yaml');
  const told = { identity: 'paris-1', address: 'tcp://central:5555', router: 'A'.repeat(43), others: [] };

  test('that is the example is the one that joining writes', () => {
    const text = readFileSync(example, 'utf8');
    expect(text).toMatch(/^# yaml-language-server: \$schema=\.\/centreond\.schema\.json\n/);
    expect(text.endsWith(pollerConfig(told))).toBe(true);
  });

  test('is sound, and known as that of its node and router', async () => {
    const { config, problems } = await loadConfig({ file: example, cwd: ROOT });
    expect(problems).toEqual([]);
    if (!config) throw new Error('no config');
    expect([config.core.id, config.core.external]).toEqual(['paris-1', undefined]);
    expect(config.plugins.map((plugin) => [plugin.package, plugin.allowCore])).toEqual([
      ['@centreond/plugin-action', false],
      ['@centreond/plugin-pull', true],
    ]);
    expect(differenceFrom(config, told)).toBeUndefined();
    expect(differenceFrom(config, { ...told, identity: 'lyon-1' })).toContain('paris-1');
    expect(differenceFrom(config, { ...told, router: joining.router })).toContain(told.router);
    expect(differenceFrom({ ...config, plugins: [] }, told)).toContain('no router');
  });

  test('of several routers names each, and is known by any of them', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'centreond-poller-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, 'centreond.yaml');
    writeFileSync(file, pollerConfig({ ...told, others: [other] }));
    const { config, problems } = await loadConfig({ file, cwd: ROOT });
    expect(problems).toEqual([]);
    if (!config) throw new Error('no config');
    expect(linksIn(config)).toEqual([{ address: told.address, fingerprint: told.router }, other]);
    const known = (router: string, others = [other]) => differenceFrom(config, { ...told, router, others });
    expect([known(told.router), known(told.router, []), known(joining.router), known(other.fingerprint, [])]).toEqual(
      Array(4).fill(undefined),
    );
    expect(known(joining.router, [])).toContain(`${told.router} or ${other.fingerprint}, not to ${joining.router}`);
  });

  test('suits the schema that editors are given', () => {
    const accepts = new Ajv({ strict: false }).compile(configSchema([]));
    expect(accepts(parse(readFileSync(example, 'utf8'))), JSON.stringify(accepts.errors)).toBe(true);
  });
});
