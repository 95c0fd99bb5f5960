import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../daemon-process.ts';
import { tempFolder } from '../plugin-sdk/temp-package.ts';
import { setting, UNIT } from './unit.ts';

const analyse = (...words: string[]) =>
  spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', ...words], { encoding: 'utf8' });
const noTool = spawnSync('systemd-analyze', ['--version']).status !== 0;
if (noTool) process.stderr.write('the exposure of the unit is not looked at: no systemd-analyze\n');
test.runIf(process.env.CI)('systemd-analyze is here', () => expect(noTool).toBe(false));

test('the unit is started again for as long as it ends in a failure', () => {
  expect(setting('Restart')).toBe('on-failure');
  // By default systemd gives up after five starts within 10 s, which is sooner than a database comes back.
  expect(setting('StartLimitIntervalSec')).toBe('0');
});

describe.skipIf(noTool)('the unit', () => {
  test('becomes able to administer the machine by the example of a drop-in', () => {
    const file = path.join(tempFolder(), 'administer.service');
    const dropIn = path.join(ROOT, 'config/administer.conf');
    writeFileSync(file, readFileSync(UNIT, 'utf8') + readFileSync(dropIn, 'utf8'));
    const { stdout } = analyse('--json=short', file);
    const found = JSON.parse(stdout) as { name: string; set: boolean | null }[];
    // Each of these makes systemd set NoNewPrivileges for a service with a user.
    const implying =
      /^(NoNewPrivileges|SystemCall|Restrict|LockPersonality|MemoryDeny|PrivateDevices|ProtectClock|ProtectHost|ProtectKernel)/;
    const inTheWay = found.filter(({ name, set }) => set && (implying.test(name) || /CapabilityBounding/.test(name)));
    expect(inTheWay).toEqual([]);
  });

  test('is exposed to 3.0 at most', () => {
    const { status, stdout } = analyse('--threshold=30', UNIT);
    process.stderr.write(`${stdout.trim().split('\n').at(-1)}\n`);
    expect(status, stdout).toBe(0);
  });
});
