/** What the core, the plugin runtime and the plugin kit read of a plugin. No interface for plugins. */
export {
  type Access,
  API_VERSION,
  type Effects,
  type HealthState,
  type HealthStatus,
  type MetricKind,
  type MetricStatus,
} from './contract.ts';
export { faultOfDeclaration, LONGEST_GRACE_SECONDS, RESERVED_ACTIONS, RESERVED_TYPES } from './declaration-fault.ts';
export {
  type ActionDeclaration,
  declarationOf,
  type Instances,
  type PluginDeclaration,
  type PluginOptions,
  rowCodesOf,
} from './decorators.ts';
export { faultOfInjection, type PluginToken, symbolOf } from './injection.ts';
export { type KeyOrFault, keyAt } from './key-path.ts';
export { type ActionManifest, MANIFEST_FILE, type Manifest, manifestOf } from './manifest.ts';
export { actionAs, longNameOf, manifestAs, TYPE_PATTERN } from './naming.ts';
export { faultOfSchema, type InputOf, type JsonSchema, type OutputOf, validate } from './schema.ts';
export { SHARED_MODULES } from './shared-modules.ts';
