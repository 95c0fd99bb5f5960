import { type Alias, type Document, isAlias, type Node, visit } from 'yaml';

/** What the aliases of a document stand for. One visit finds them all, where yaml's own search visits the document once for each. */
export class Aliases {
  readonly #targets = new Map<Alias, Node>();
  readonly #circular = new Set<Alias>();

  constructor(document: Document) {
    const anchors = new Map<string, Node>();
    visit(document, {
      Node: (_, node, around) => {
        if (!isAlias(node)) {
          if (node.anchor !== undefined) anchors.set(node.anchor, node);
          return;
        }
        const target = anchors.get(node.source);
        if (!target) return;
        this.#targets.set(node, target);
        if (around.includes(target)) this.#circular.add(node);
      },
    });
  }

  /** The last node before `alias` that has its anchor. */
  targetOf(alias: Alias): Node | undefined {
    return this.#targets.get(alias);
  }

  /** Whether `alias` stands inside of its target. */
  isCircular(alias: Alias): boolean {
    return this.#circular.has(alias);
  }

  /** What an alias stands for, undefined if that is around it; everything else is itself. */
  resolved(node: unknown): unknown {
    if (!isAlias(node)) return node;
    return this.isCircular(node) ? undefined : this.targetOf(node);
  }
}
