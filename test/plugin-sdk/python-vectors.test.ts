import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { noPython, PYTHON, PYTHON_CLIENT, PYTHON_ENV } from '../debian-python.ts';
import { type NegativeVectors, vectorsOf } from './vectors.ts';

test.skipIf(noPython)('the Python channel meets the transcript and refuses every vector that is meant for it', () => {
  const { base64, keys, records } = vectorsOf<NegativeVectors>('negative.json');
  const count =
    base64.length + keys.filter(({ joins }) => !joins).length + records.flatMap(({ wrong }) => wrong).length;
  const options = { cwd: PYTHON_CLIENT, env: PYTHON_ENV, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(PYTHON, ['check_vectors.py'], options);
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toBe(`transcript.json: 2 sessions as they stand there\nnegative.json: ${count} vectors refused\n`);
});
