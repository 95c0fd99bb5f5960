import { coreActionNames } from '../core-actions.ts';
import { check } from './check.ts';
import type { Globals } from './exit.ts';

/** `centreond check`, knowing what the core itself claims. */
export function checkVerb(options: Globals & { schema?: boolean }): Promise<number> {
  const { config, json = false, schema = false } = options;
  const coreActions = coreActionNames;
  return check({ config, json, schema, cwd: process.cwd(), coreActions });
}
