import { create } from "@bufbuild/protobuf";
import { type Spec, SpecSchema } from "../../gen/hashicorp/nomad/plugins/shared/hclspec/hcl_spec_pb";
import { type AnyOption, defaultOf, type HclType, isRequired, type OptionTable } from "./option";
import { pluginOptions } from "./plugin/options";
import { writableOptions } from "./task/options";

/** The schema of a task's `config` block in Nomad's terms. */
export function taskConfigSpec(): Spec {
  return objectSpec(writableOptions);
}

/** The schema of the plugin's config in Nomad's terms. */
export function pluginConfigSpec(): Spec {
  return objectSpec(pluginOptions);
}

function objectSpec(table: OptionTable): Spec {
  const attributes = Object.fromEntries(Object.entries(table).map(([name, row]) => [name, rowSpec(name, row)]));
  return create(SpecSchema, { block: { case: "object", value: { attributes } } });
}

function rowSpec(name: string, row: AnyOption): Spec {
  const primary = valueSpec(name, row);
  if (row.defaultInSpec !== true) return primary;
  const literal = create(SpecSchema, { block: { case: "literal", value: { value: JSON.stringify(defaultOf(row)) } } });
  return create(SpecSchema, { block: { case: "default", value: { primary, default: literal } } });
}

function valueSpec(name: string, row: AnyOption): Spec {
  const required = isRequired(row);
  if (row.type.kind === "block") {
    return create(SpecSchema, {
      block: { case: "blockValue", value: { name, required, nested: objectSpec(row.type.options) } },
    });
  }
  return create(SpecSchema, { block: { case: "attr", value: { name, type: typeExpression(row.type), required } } });
}

/**
 * HCL's type expression. A map is "any": Nomad's job file parser passes `a { k = "v" }` and `a = { k = "v" }` as a list
 * of maps, a JSON job has the map itself, and only the type "any" accepts both; so it is for a string or a list. The validator then
 * reports what is wrong.
 */
function typeExpression(type: Exclude<HclType, { kind: "block" }>): string {
  if (type.kind === "map" || type.kind === "maps" || type.kind === "words") return "any";
  return type.kind === "strings" ? "list(string)" : type.kind;
}
