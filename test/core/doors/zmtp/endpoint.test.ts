import { describe, expect, test } from 'vitest';
import { formatAddress, originOf, parseEndpoint } from '../../../../core/dist/doors/zmtp/endpoint.js';

const interfaces = () => ({
  eth0: [
    { family: 'IPv6' as const, address: 'fe80::1', netmask: '', mac: '', internal: false, cidr: null, scopeid: 2 },
    { family: 'IPv4' as const, address: '10.0.0.7', netmask: '', mac: '', internal: false, cidr: null },
  ],
});

describe('an endpoint', () => {
  test.each([
    ['ipc:///run/router.ipc', { path: '/run/router.ipc' }],
    ['tcp://127.0.0.1:5555', { hosts: ['127.0.0.1'], port: 5555 }],
    ['tcp://127.0.0.1:*', { hosts: ['127.0.0.1'], port: 0 }],
    ['tcp://[::1]:5555', { hosts: ['::1'], port: 5555 }],
    ['tcp://*:5555', { hosts: ['::', '0.0.0.0'], port: 5555 }],
    ['tcp://eth0:80', { hosts: ['10.0.0.7'], port: 80 }],
  ])('%s', (endpoint, binding) => {
    expect(parseEndpoint(endpoint, interfaces)).toEqual(binding);
  });

  test.each([
    ['tcp://127.0.0.1', 'EINVAL'],
    ['tcp://127.0.0.1:65536', 'EINVAL'],
    ['tcp://:5555', 'EINVAL'],
    ['ipc://', 'EINVAL'],
    ['udp://127.0.0.1:5555', 'EINVAL'],
    ['tcp://localhost:5555', 'ENODEV'],
    ['tcp://eth1:5555', 'ENODEV'],
  ])('%s is refused', (endpoint, code) => {
    expect(() => parseEndpoint(endpoint, interfaces)).toThrow(expect.objectContaining({ code }));
  });
});

test.each([
  ['10.1.2.3', '10.1.2.3:5', '10.1.2.3'],
  ['::ffff:10.1.2.3', '10.1.2.3:5', '10.1.2.3'],
  ['::1', '[::1]:5', '0:0:0:0'],
  ['2001:db8:1:2:3:4:5:6', '[2001:db8:1:2:3:4:5:6]:5', '2001:db8:1:2'],
  ['2001:db8::9', '[2001:db8::9]:5', '2001:db8:0:0'],
  ['2001:db8:1:2::', '[2001:db8:1:2::]:5', '2001:db8:1:2'],
  ['fe80::1%eth0', '[fe80::1%eth0]:5', 'fe80:0:0:0'],
])('the address %s is shown and counted as a machine', (host, shown, origin) => {
  expect(formatAddress(host, 5)).toBe(shown);
  expect(originOf(host)).toBe(origin);
});
