import { chownSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { writePrivateFile } from '../../core/dist/private-file.js';
import { tempFolder } from '../plugin-sdk/temp-package.ts';

const NOBODY = 65_534;

describe.skipIf(process.getuid?.() !== 0)('what root writes for the daemon', () => {
  const ownersOf = (...files: string[]) => files.map((file) => [statSync(file).uid, statSync(file).gid]);

  test('belongs to the owner of the folder, so that the daemon can read it', () => {
    const folder = path.join(tempFolder(), 'data');
    mkdirSync(folder);
    chownSync(folder, NOBODY, NOBODY);
    const file = path.join(folder, 'keys/deeper/router.pem');
    expect(writePrivateFile(file, 'one', false)).toBe(true);
    expect(writePrivateFile(file, 'two', true)).toBe(true);
    const all = [path.join(folder, 'keys'), path.dirname(file), file];
    expect(ownersOf(...all)).toEqual(all.map(() => [NOBODY, NOBODY]));
    expect(all.map((one) => statSync(one).mode & 0o777)).toEqual([0o700, 0o700, 0o600]);
  });

  test('belongs to root in a folder of root', () => {
    const file = path.join(tempFolder(), 'router.pem');
    writePrivateFile(file, 'one', false);
    expect(ownersOf(file)).toEqual([[0, 0]]);
  });
});
