import { afterAll } from 'vitest';
import { removeTempFolders } from './plugin-sdk/temp-package.ts';

// Runs before each test file, also where several share a process.
afterAll(removeTempFolders);
