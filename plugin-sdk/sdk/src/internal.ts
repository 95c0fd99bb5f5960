/** What the core, the plugin runtime and the plugin kit read of a plugin. No interface for plugins. */
export { type Access, API_VERSION, type Effects } from './contract.ts';
export { faultOfDeclaration, LONGEST_GRACE_SECONDS, RESERVED_ACTIONS, RESERVED_TYPES } from './declaration-fault.ts';
export {
  type ActionDeclaration,
  declarationOf,
  type Instances,
  type PluginDeclaration,
  type PluginOptions,
} from './decorators.ts';
export { faultOfInjection, type PluginToken, symbolOf } from './injection.ts';
export { type ActionManifest, MANIFEST_FILE, type Manifest, manifestOf } from './manifest.ts';
export { faultOfSchema, type InputOf, type JsonSchema, type OutputOf, validate } from './schema.ts';
