export { type Built, buildManifest, describePlugin } from './build.ts';
export { type Copies, copiesOf } from './copies.ts';
export { type Typed, writeTypes } from './types.ts';
