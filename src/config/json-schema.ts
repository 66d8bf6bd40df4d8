import { type AnyOption, allowedText, defaultOf, type HclType, isRequired, type OptionTable } from "./option";
import { pluginOptions } from "./plugin/options";
import { writableOptions } from "./task/options";

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

/** JSON Schema of a task's `config` block. */
export function taskJsonSchema(): Json {
  return { $schema: DIALECT, title: "Task config of the nspawn driver", ...objectSchema(writableOptions) };
}

/** JSON Schema of the plugin's config. */
export function pluginJsonSchema(): Json {
  return { $schema: DIALECT, title: "Plugin config of the nspawn driver", ...objectSchema(pluginOptions) };
}

function objectSchema(table: OptionTable): { readonly [key: string]: Json } {
  const required = Object.entries(table).flatMap(([name, row]) => (isRequired(row) ? [name] : []));
  return {
    type: "object",
    properties: Object.fromEntries(Object.entries(table).map(([name, row]) => [name, rowSchema(row)])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  };
}

function rowSchema(row: AnyOption): Json {
  const fallback = defaultOf(row);
  const plain = typeof fallback === "string" || typeof fallback === "boolean" || typeof fallback === "number";
  return {
    description: `${row.meaning} It must be ${allowedText(row)}.`,
    ...typeSchema(row.type),
    ...(plain ? { default: fallback } : {}),
  };
}

function typeSchema(type: HclType): { readonly [key: string]: Json } {
  switch (type.kind) {
    case "string":
      return { type: "string", ...(type.values === undefined ? {} : { enum: type.values }) };
    case "bool":
      return { type: "boolean" };
    case "number":
      return {
        type: "integer",
        ...(type.min === undefined ? {} : { minimum: type.min }),
        ...(type.max === undefined ? {} : { maximum: type.max }),
      };
    case "strings":
      return { type: "array", items: { type: "string" } };
    case "words":
      return { type: ["string", "array"], items: { type: "string" } };
    case "map":
      return { type: "object", additionalProperties: { type: type.of === "number" ? "integer" : "string" } };
    case "maps":
      return { type: ["object", "array"], items: { type: "object" } };
    case "block":
      return objectSchema(type.options);
  }
}
