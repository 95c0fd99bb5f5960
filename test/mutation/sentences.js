/** Calls whose texts are sentences for people and logs: no program depends on them. */
const CALLS = new Set(['broken', 'Error']);

/** Whether a node is a text within such a call, or the `reason` or `remedy` of an error. */
function isSentence(path) {
  if (!path.isStringLiteral() && !path.isTemplateLiteral()) return false;
  return (
    path.findParent(({ node, parentPath }) => {
      if (node.type === 'ObjectProperty') return ['reason', 'remedy', 'what', 'by'].includes(node.key.name);
      const isCall = node.type === 'CallExpression' || node.type === 'NewExpression';
      return parentPath !== null && isCall && CALLS.has(node.callee.name);
    }) !== null
  );
}

export const strykerPlugins = [
  {
    kind: 'Ignore',
    name: 'sentences',
    value: { shouldIgnore: (path) => (isSentence(path) ? 'a sentence for people' : undefined) },
  },
];
