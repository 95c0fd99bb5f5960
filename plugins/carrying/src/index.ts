// What plugins that carry requests to nodes share, whatever the kind of the nodes.
export { CODES } from './bulletin.ts';
export type { CarriedNode, KindName, NodeKind, NodeOptions } from './carried-node.ts';
export { ADDS, Carrying, type CarryingOptions, DELETES } from './carrying.ts';
export { faultsText } from './faults.ts';
export { NODE_FIELDS, NodeId, type NodeSettings } from './node-fields.ts';
export { NODES_LIMIT, nodesConfig } from './nodes-config.ts';
export { instanceOf } from './share.ts';
