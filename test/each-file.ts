import { afterAll } from 'vitest';
import { removeTempFolders } from './plugin-sdk/temp-package.ts';
import { forgetKeys } from './rsa-keys.ts';

// Runs before each test file, also where several share a process.
forgetKeys();
afterAll(removeTempFolders);
