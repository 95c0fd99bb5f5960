export { type Clock, FakeClock } from './clock.ts';
export { assertPluginContract, type ContractOptions, checkPluginContract, type Ending } from './contract.ts';
export type { Finding, FindingCode } from './findings.ts';
export { type HostOptions, type Leftovers, startHost, type TestHost } from './host.ts';
export { type TestedPlugin, type TestOptions, testPlugin } from './in-process.ts';
export type { LateRow, LogLine } from './log-lines.ts';
export type { Answer, Role, TestCall, TestOutcome } from './test-router.ts';
export type { TestCarried } from './test-services.ts';
