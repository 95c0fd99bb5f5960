import { isAction, LINK_VERBS } from '@centreond/protocol';
import type { ListenerDeclaration } from './decorators.ts';
import { faultOfKeyPath } from './key-path.ts';
import type { ActionManifest, Manifest } from './manifest.ts';
import type { JsonSchema } from './schema.ts';

/** See SECRET_FORMAT of json-schema.ts, which loads ajv. */
const SECRET_FORMAT = 'centreond-secret';

const PROTOCOL_VERBS = ['ACK', 'PONG', 'LOG', 'BYE', 'NOSESSION', 'HELO', 'KEY', 'AUTH', 'GETPUBKEY', 'PUBKEY'];

/** Names that no action can have: verbs of the protocol and of the link between the core and an instance. */
export const RESERVED_ACTIONS: ReadonlySet<string> = new Set([...LINK_VERBS, ...PROTOCOL_VERBS]);

/** Types that no plugin outside the core can have: `@local` and `@core` name who asks, `shared` the process that plugins share. */
export const RESERVED_TYPES: ReadonlySet<string> = new Set(['core', 'local', 'shared']);

/** A day: KILL waits no longer for a plugin to release what it holds. */
export const LONGEST_GRACE_SECONDS = 86_400;

/** Events that only the core emits. */
const CORE_EVENTS: ReadonlySet<string> = new Set(['REGISTERNODE', 'UNREGISTERNODE', 'HAPPENED']);

const ACCESS = ['client', 'node', 'router', 'admin', 'internal'];
const EFFECTS = ['read', 'write', 'destructive'];
const IN_FLIGHT = ['fail', 'requeue'];
const REPLY = ['row', 'ack'];
const LARGEST_CODE = 2 ** 31 - 1;

/** The methods that a declaration names beside those of its actions. */
interface Named {
  readonly listens: readonly ListenerDeclaration[];
  readonly kill: string | undefined;
}

/**
 * What speaks against a declaration, as the rest of a sentence that names the action, method or code and what to change;
 * undefined where it is sound. TypeScript rules some of it out, but a plugin may come without types.
 */
export function faultOfDeclaration(
  manifest: Omit<Manifest, 'hash' | 'sdk'>,
  { listens, kill }: Named,
  prototype: object,
): string | undefined {
  const { title, actions, emits, codes, instances, isolation, config } = manifest;
  const isMissing = (method: string) => typeof (prototype as Record<string, unknown>)[method] !== 'function';
  if (!isText(title)) return 'its title is empty';
  for (const action of actions) {
    const fault = isMissing(action.method)
      ? `the class has no method ${action.method}`
      : (faultOfAction(action) ?? faultOfKey(action, instances));
    if (fault) return `@Action('${action.name}'): ${fault}`;
  }
  for (const { event, method, in: where } of listens) {
    if (!isAction(event)) return `@On('${event}'): an event's name is a capital letter and up to 63 of A-Z 0-9 _ -`;
    if (isMissing(method)) return `@On('${event}'): the class has no method ${method}`;
    const other = listens.find((one) => one.event === event && one.in !== where);
    if (other)
      return `@On('${event}'): ${method} and ${other.method} differ in { in }; an event goes to one instance or to each`;
  }
  if (kill !== undefined && isMissing(kill)) return `@Kill: the class has no method ${kill}`;
  if (
    manifest.kill &&
    !(isAtLeast(manifest.kill.graceSeconds, 0) && manifest.kill.graceSeconds <= LONGEST_GRACE_SECONDS)
  )
    return `@Kill: graceSeconds is no number from 0 to ${LONGEST_GRACE_SECONDS}`;
  for (const { name, schema } of emits) {
    if (!isAction(name)) return `its event '${name}' is not a capital letter and up to 63 of A-Z 0-9 _ -`;
    if (CORE_EVENTS.has(name)) return `its event ${name} is the core's own; choose another name`;
    if (notObject(schema)) return `its event ${name} must carry an object`;
  }
  const byCode = new Map<number, string>();
  for (const [name, code] of Object.entries(codes)) {
    const other = byCode.get(code);
    if (other !== undefined) return `its codes ${other} and ${name} are both ${code}; give each its own`;
    if (code > LARGEST_CODE) return `its code ${name} is ${code}, above ${LARGEST_CODE}`;
    byCode.set(code, name);
  }
  if (config && notObject(config)) return 'its config must be an object';
  return faultOfInstances(instances, isolation) ?? faultOfPlacement(manifest.placement, isolation);
}

function faultOfAction(action: ActionManifest): string | undefined {
  const { name, title, access, effects, inFlight, idempotent, concurrency, timeoutSeconds, reply, input, output } =
    action;
  if (RESERVED_ACTIONS.has(name)) return `${name} is a verb of the protocol; choose another name`;
  if (!isText(title)) return 'its title is empty';
  const stranger = access.find((one) => !ACCESS.includes(one));
  if (stranger !== undefined || access.length === 0)
    return `access is ${listed(access)}; it takes ${ACCESS.join(', ')}`;
  if (!EFFECTS.includes(effects)) return `effects is ${effects}; it takes ${EFFECTS.join(', ')}`;
  if (!IN_FLIGHT.includes(inFlight)) return `inFlight is ${inFlight}; it takes ${IN_FLIGHT.join(', ')}`;
  if (!REPLY.includes(reply)) return `reply is ${reply}; it takes ${REPLY.join(', ')}`;
  if (inFlight === 'requeue' && !idempotent)
    return "inFlight 'requeue' runs it again, so it has to be idempotent: true";
  if (!Number.isInteger(concurrency) || concurrency < 1)
    return `concurrency is ${concurrency}, no whole number from 1 up`;
  if (!isAtLeast(timeoutSeconds, 0) || timeoutSeconds === 0)
    return `timeoutSeconds is ${timeoutSeconds}, no number above 0`;
  if (notObject(input)) return 'its input must be an object: a request carries one';
  if (marksSecret(input) || marksSecret(output))
    return `it marks a string as ${SECRET_FORMAT}, which only the config has; take centreond-secret-reference, or none`;
  if ('$' in propertiesOf(input)) return "its input has a key '$', which is the envelope's and never reaches a plugin";
  return undefined;
}

function faultOfKey({ input }: ActionManifest, instances: Manifest['instances']): string | undefined {
  if (!('key' in instances)) return undefined;
  return faultOfKeyPath(input, instances.key.split('.'));
}

function faultOfInstances(instances: Manifest['instances'], isolation: Manifest['isolation']): string | undefined {
  if (isolation !== 'process' && isolation !== 'core')
    return `isolation is ${String(isolation)}; it takes process, core`;
  if ('pool' in instances) {
    if (!Number.isInteger(instances.pool) || instances.pool < 1) return 'instances.pool is no whole number from 1 up';
    return isolation === 'core' && instances.pool > 1 ? "isolation 'core' has no processes to pool" : undefined;
  }
  const { start, idleSeconds, max } = instances;
  if (isolation === 'core') return "isolation 'core' has no processes, so no instances by key";
  if (start !== 'eager' && start !== 'on-demand')
    return `instances.start is ${String(start)}; it takes eager, on-demand`;
  if (idleSeconds !== undefined && !isAtLeast(idleSeconds, 0)) return 'instances.idleSeconds is no number from 0 up';
  if (max !== undefined && !(Number.isInteger(max) && max >= 1)) return 'instances.max is no whole number from 1 up';
  return undefined;
}

function faultOfPlacement(placement: unknown, isolation: Manifest['isolation']): string | undefined {
  if (placement === undefined) return undefined;
  if (placement !== 'one') return `placement is ${String(placement)}; it takes each, one`;
  return isolation === 'core'
    ? "placement 'one' ends its process when another router's turn comes, and isolation 'core' has none to end"
    : undefined;
}

/** Whether a schema has a string that the router would have to fill in. */
function marksSecret(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false;
  if ((schema as JsonSchema).format === SECRET_FORMAT) return true;
  return Object.values(schema).some(marksSecret);
}

function notObject(schema: JsonSchema): boolean {
  return schema.type !== undefined && !typesOf(schema).includes('object');
}

function propertiesOf({ properties }: JsonSchema): Readonly<Record<string, unknown>> {
  return typeof properties === 'object' && properties !== null ? (properties as Record<string, unknown>) : {};
}

function typesOf(schema: unknown): readonly unknown[] {
  const { type } = typeof schema === 'object' && schema !== null ? (schema as JsonSchema) : {};
  return Array.isArray(type) ? type : [type];
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isAtLeast(value: unknown, least: number): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= least;
}

function listed(words: readonly string[]): string {
  return words.join(', ') || 'empty';
}
