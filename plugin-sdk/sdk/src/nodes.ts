/** What plugins that carry requests to other nodes need besides the SDK itself. */
export type { CarriedRequest, Link, LinkOptions, NodeAnnouncement, NodeState, Subnode } from './contract.ts';
