/**
 * The options of a task's `config` block (task/) and of the plugin's own (plugin/). An *option* is one row of a table: type, check,
 * default, meaning, and the switch of systemd-nspawn if the value alone determines it. Everything else is derived from the rows: the
 * hclspec, with which Nomad parses a job file (hclspec.ts), decoding and validation (decode.ts), the JSON Schema, and docs/options.md
 * (docs.ts).
 *
 * Rules that need more than one option are in combinations.ts, and those that need the operator's config in policy.ts: the *policy* is
 * what the plugin's options allow jobs to do. What a value means for a container is decided in launch/ and rootfs/.
 */

import * as v from "valibot";
import { alternatives } from "../values/names";

/** How an option is written in HCL. */
export type HclType =
  | { readonly kind: "string"; readonly values?: readonly string[] }
  | { readonly kind: "bool" }
  | { readonly kind: "number"; readonly min?: number; readonly max?: number }
  | { readonly kind: "strings" }
  /** A list of strings, which may be written as one string. */
  | { readonly kind: "words" }
  | { readonly kind: "map"; readonly of: "string" | "number" | "list of string" }
  /** Blocks of any content, or a list of maps; the option's own check reads them. */
  | { readonly kind: "maps" }
  | { readonly kind: "block"; readonly options: OptionTable };

/**
 * One row of an option table: everything the driver knows about an option. The hclspec, validation, systemd-nspawn's
 * switch, JSON Schema and documentation are all generated from it.
 */
export interface Option<TSchema extends v.GenericSchema> {
  readonly type: HclType;
  /** Validates the value; `v.optional(…)` makes the option optional and carries its default. */
  readonly schema: TSchema;
  /** Completes "it must be …" in an error and fills the documentation's column. Derived from the type when absent. */
  readonly allowed?: string;
  /** What the option does, in Markdown. */
  readonly meaning: string;
  /** systemd-nspawn's switch, for the documentation. */
  readonly nspawn?: string;
  /** HCL for the documentation. */
  readonly example?: string;
  /** Never print the value; a predicate selects which values are secret. */
  readonly secret?: true | ((value: unknown) => boolean);
  /** The default is in the hclspec, as in the Go driver, so that Nomad fills it in and `nomad job inspect` shows it. */
  readonly defaultInSpec?: true;
  /** Arguments of systemd-nspawn, if the value alone determines them; a method, so that a table of mixed rows stays typed. */
  switches?(value: NonNullable<v.InferOutput<TSchema>>): readonly string[];
}

/** A row of unknown value type. */
export type AnyOption = Option<v.GenericSchema>;

/** Options by name. */
export type OptionTable = Readonly<Record<string, AnyOption>>;

/** Keeps the row's exact type, from which the type of its value is inferred. */
export function option<TSchema extends v.GenericSchema>(row: Option<TSchema>): Option<TSchema> {
  return row;
}

/** The valibot schema of each row, by name. */
export function schemasOf<TTable extends OptionTable>(
  table: TTable,
): { readonly [K in keyof TTable]: TTable[K]["schema"] };
export function schemasOf(table: OptionTable): Record<string, v.GenericSchema> {
  return Object.fromEntries(Object.entries(table).map(([name, row]) => [name, row.schema]));
}

/** True if a config without the option is rejected. */
export function isRequired(row: AnyOption): boolean {
  return row.schema.type !== "optional";
}

/** The default of an absent option, or undefined if it has none. */
export function defaultOf(row: AnyOption): unknown {
  return v.getDefault(row.schema);
}

/** The allowed values of an option, as the end of a sentence that begins "it must be". */
export function allowedText(row: AnyOption): string {
  if (row.allowed !== undefined) return row.allowed;
  switch (row.type.kind) {
    case "string":
      return row.type.values === undefined ? "a string" : alternatives(row.type.values);
    case "bool":
      return "true or false";
    case "number":
      return "a number";
    case "strings":
      return "a list of strings";
    case "words":
      return "a string or a list of strings";
    case "map":
      return `a map of ${row.type.of}s`;
    case "maps":
      return "a list of maps";
    case "block":
      return "a block";
  }
}
