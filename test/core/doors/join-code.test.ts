import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../../core/dist/config/config.js';
import { configSchema } from '../../../core/dist/config/editor-schema.js';
import { differenceFrom } from '../../../core/dist/config/poller-config.js';
import { pollerConfig } from '../../../core/dist/config/templates.js';
import { formatJoinCode, isDoorAddress, parseJoinCode } from '../../../core/dist/doors/join-code.js';
import { reachOf } from '../../../core/dist/doors/reach.js';
import { ROOT } from '../../daemon-process.ts';

const joining = {
  identity: 'paris-1',
  address: 'tcp://[2001:db8::5]:5555',
  router: 'K08kPgYsA27HBTOkhrG2qcOHH3Sbk54Pi6UvgaAhPdQ',
  token: 'Q1dPykjToeSXT2ZjYjLhXCGKwpA8CXX9',
};
const broken = (what: string) => expect.objectContaining({ code: 'JOIN_CODE', message: expect.stringContaining(what) });

describe('a join code', () => {
  const code = formatJoinCode(joining);

  test('is one word that no shell changes, and bears all of it', () => {
    expect(code).toMatch(/^join1\.[A-Za-z0-9_-]+$/);
    expect(parseJoinCode(code)).toEqual(joining);
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
    ]) {
      expect(() => parseJoinCode(formatJoinCode({ ...joining, ...odd }))).toThrow(broken('another version'));
    }
  });
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
  const told = { identity: 'paris-1', address: 'tcp://central:5555', router: 'A'.repeat(43) };

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

  test('suits the schema that editors are given', () => {
    const accepts = new Ajv({ strict: false }).compile(configSchema([]));
    expect(accepts(parse(readFileSync(example, 'utf8'))), JSON.stringify(accepts.errors)).toBe(true);
  });
});
