export { type Built, buildManifest, describePlugin } from './build.ts';
export { type Copies, copiesOf } from './copies.ts';
export { descriptionOf, manifestMarkdown, type Part } from './describe.ts';
export { type Field, fieldsOf } from './fields.ts';
export { type Typed, writeTypes } from './types.ts';
