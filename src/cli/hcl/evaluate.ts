import { type Body, type Expression, parseExpression } from "./parse";
import { HclError } from "./tokens";

/** The values of a file's variables and locals, by names such as "var.image". */
export type Scope = ReadonlyMap<string, Evaluated>;

/** The value of an expression. */
export interface Evaluated {
  /** Undefined if it is not known at all. Unknown parts of it are the text "x". */
  readonly value: unknown;
  /** Whether a part of it is not known before Nomad runs the job. */
  readonly open: boolean;
}

/** What stands for an unknown part of a value. */
const UNKNOWN = "x";
const OPEN: Evaluated = { value: undefined, open: true };

/** The value of an expression. */
export function evaluate(expression: Expression, scope: Scope): Evaluated {
  switch (expression.kind) {
    case "literal":
      return { value: expression.value, open: false };
    case "name":
      return scope.get(expression.text) ?? OPEN;
    case "open":
      return OPEN;
    case "template":
      return template(expression.parts, scope);
    case "list": {
      const items = expression.items.map((item) => evaluate(item, scope));
      return { value: items.map(({ value }) => value ?? UNKNOWN), open: items.some(({ open }) => open) };
    }
    case "map": {
      const entries = expression.entries.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)] as const);
      return {
        value: Object.fromEntries(entries.map(([key, { value }]) => [String(key.value ?? UNKNOWN), value ?? UNKNOWN])),
        open: entries.flat().some(({ open }) => open),
      };
    }
  }
}

function template(parts: Extract<Expression, { kind: "template" }>["parts"], scope: Scope): Evaluated {
  const values = parts.map((part) =>
    "text" in part ? { value: part.text, open: false } : codeValue(part.code, scope),
  );
  const [only, ...more] = values;
  // "${var.list}" alone is the value itself.
  if (only !== undefined && more.length === 0 && !only.open) return only;
  return {
    value: values.map(({ value }) => (isPlain(value) ? String(value) : UNKNOWN)).join(""),
    open: values.some(({ open }) => open),
  };
}

function isPlain(value: unknown): boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function codeValue(code: string, scope: Scope): Evaluated {
  try {
    return evaluate(parseExpression(code), scope);
  } catch (error) {
    if (error instanceof HclError) return OPEN;
    throw error;
  }
}

/**
 * The variables and locals of a job file.
 *
 * @param given values of variables by name, such as those of the command line; others have their defaults
 */
export function scopeOf({ blocks }: Body, given: Readonly<Record<string, string>>): Scope {
  const scope = new Map<string, Evaluated>();
  for (const { type, labels, body } of blocks) {
    const [name] = labels;
    if (type !== "variable" || name === undefined) continue;
    const preset = body.attributes.find((attribute) => attribute.name === "default");
    const own = given[name];
    if (own !== undefined) scope.set(`var.${name}`, { value: own, open: false });
    else if (preset !== undefined) scope.set(`var.${name}`, evaluate(preset.value, new Map()));
  }
  const locals = blocks.filter(({ type }) => type === "locals").flatMap(({ body }) => body.attributes);
  // A local may use those of later lines: repeated until nothing new is known.
  for (let round = 0; round <= locals.length; round += 1) {
    let changed = false;
    for (const { name, value } of locals) {
      const before = scope.get(`local.${name}`);
      const now = evaluate(value, scope);
      if (before !== undefined && !before.open) continue;
      scope.set(`local.${name}`, now);
      changed ||= before === undefined || (before.open && !now.open);
    }
    if (!changed) break;
  }
  return scope;
}

/** The content of a body as a plain value, as Nomad passes a config block to a driver: a block is a list of maps. */
export function bodyValue({ attributes, blocks }: Body, scope: Scope): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const attribute of attributes) value[attribute.name] = evaluate(attribute.value, scope).value;
  for (const { type, body } of blocks) {
    const before = value[type];
    value[type] = [...(Array.isArray(before) ? before : []), bodyValue(body, scope)];
  }
  return value;
}

/** Whether a part of a body is not known before Nomad runs the job. */
export function isOpen({ attributes, blocks }: Body, scope: Scope): boolean {
  return attributes.some(({ value }) => evaluate(value, scope).open) || blocks.some(({ body }) => isOpen(body, scope));
}
