import { type Alias, type Document, isAlias, type Node, visit } from 'yaml';

/** What the aliases of a document stand for. One visit finds them all, where yaml's own search visits the document once for each. */
export class Aliases {
  readonly #targets = new Map<Alias, Node>();

  constructor(document: Document) {
    const anchors = new Map<string, Node>();
    visit(document, {
      Node: (_, node) => {
        const target = isAlias(node) ? anchors.get(node.source) : undefined;
        if (isAlias(node)) {
          if (target) this.#targets.set(node, target);
        } else if (node.anchor !== undefined) anchors.set(node.anchor, node);
      },
    });
  }

  /** The last node before `alias` that has its anchor. */
  targetOf(alias: Alias): Node | undefined {
    return this.#targets.get(alias);
  }

  /** What an alias stands for; everything else is itself. */
  resolved(node: unknown): unknown {
    return isAlias(node) ? this.targetOf(node) : node;
  }
}
