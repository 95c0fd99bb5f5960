/** What plugins that carry requests to other nodes need besides the SDK itself. */
export type { CarriedRequest, Link, LinkOptions, NodeAnnouncement, NodeState, Subnode } from './contract.ts';

/** What a label of a node may be: at most so many of a node, its key such a word, its value of at most so many characters. */
export const LABEL = { most: 32, key: /^[a-z][a-z0-9_.-]{0,62}$/, characters: 128 } as const;
