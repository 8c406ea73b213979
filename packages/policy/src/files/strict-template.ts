import { Template } from '@huggingface/jinja';

interface Node {
  readonly type: string;
  [key: string]: unknown;
}

/**
 * A Jinja template that refuses what Jinja2 refuses: looking into what is not there, as in `messages[0].role` of an empty
 * conversation. @huggingface/jinja 0.5.11 goes on with another undefined value, and so with a text that no model was
 * trained on. Each `a.b` of the parsed template becomes `(a if a is defined else raise_exception(...)).b`, unless `a` is
 * a call, which must run once.
 */
export function strictTemplate(source: string): Template {
  const template = new Template(source);
  const root = template as unknown as { parsed: Node };
  root.parsed = guardMembers(root.parsed) as Node;
  return template;
}

function guardMembers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(guardMembers);
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [guardMembers(key), guardMembers(item)]));
  if (typeof value !== 'object' || value === null) return value;
  const node: Node = Object.create(Object.getPrototypeOf(value) as object);
  for (const [key, item] of Object.entries(value)) node[key] = guardMembers(item);
  if (node.type === 'MemberExpression') node.object = definedOrRaise(node.object as Node);
  return node;
}

function definedOrRaise(object: Node): Node {
  if (object.type === 'CallExpression' || object.type.endsWith('Literal')) return object;
  const { parsed } = new Template(`{{ x if x is defined else raise_exception('${describe(object)} is undefined') }}`);
  return substitute((parsed as unknown as { body: Node[] }).body[0]!, object) as Node;
}

/** Puts `object` in the place of the variable `x`. */
function substitute(value: unknown, object: Node): unknown {
  if (Array.isArray(value)) return value.map((item) => substitute(item, object));
  if (typeof value !== 'object' || value === null) return value;
  if ((value as Node).type === 'Identifier' && (value as Node).value === 'x') return object;
  const node: Node = Object.create(Object.getPrototypeOf(value) as object);
  for (const [key, item] of Object.entries(value)) node[key] = substitute(item, object);
  return node;
}

/** The expression's text, roughly, for the message. */
function describe(node: Node): string {
  if (node.type === 'Identifier') return String(node.value);
  if (node.type === 'Ternary') return describe(node.trueExpr as Node);
  if (node.type !== 'MemberExpression') return 'an expression';
  const { value, type } = node.property as Node;
  const property =
    node.computed === true && type !== 'IntegerLiteral' && type !== 'StringLiteral' ? '...' : String(value);
  return `${describe(node.object as Node)}.${property}`.replace(/[^\w. ]/g, '?');
}
