import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ROOT } from './daemon-process.ts';

/** The system's Python. The one of PATH may be another, which does not see Debian's packages. */
export const PYTHON = '/usr/bin/python3';
/** The folder of the Python client. */
export const PYTHON_CLIENT = path.join(ROOT, 'plugin-sdk/protocol/python');
/** Python leaves no compiled files in the source tree and buffers no output. */
export const PYTHON_ENV = { ...process.env, PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1' };

/** Why the Python client cannot run here, or undefined. */
export const noPython: string | undefined =
  spawnSync(PYTHON, ['-c', 'import zmq, cryptography']).status === 0
    ? undefined
    : `skipped: ${PYTHON} cannot import zmq and cryptography (apt-get install python3-zmq python3-cryptography)`;
if (noPython) process.stderr.write(`the tests of the Python client are ${noPython}\n`);
