import * as v from "valibot";
import { isRecord } from "../lib/objects";
import type { HclType } from "./option";
import { Problem, textProblem } from "./validators";

/** Type and schema of common rows, spread into the row: `{ ...flag(false), meaning: … }`. */

export function flag<const TDefault extends boolean>(fallback: TDefault) {
  return { type: { kind: "bool" } satisfies HclType, schema: v.optional(v.boolean(), fallback) } as const;
}

export function choice<const TValues extends readonly [string, ...string[]]>(values: TValues) {
  return { type: { kind: "string", values } satisfies HclType, schema: v.optional(v.picklist(values)) } as const;
}

/** A string that may be absent; `schema` validates it if present. */
export function string<TSchema extends v.GenericSchema<string, unknown>>(schema: TSchema) {
  return { type: { kind: "string" } satisfies HclType, schema: v.optional(schema) } as const;
}

/** A list of strings, empty when absent; `element` validates and may transform each. */
export function strings<TSchema extends v.GenericSchema<string, unknown>>(element: TSchema) {
  return { type: { kind: "strings" } satisfies HclType, schema: v.optional(v.array(element), []) } as const;
}

/** As strings(), and a string alone is a list of one. */
export function words<TSchema extends v.GenericSchema<string, unknown>>(element: TSchema) {
  return { type: { kind: "words" } satisfies HclType, schema: v.optional(v.array(element), []) } as const;
}

/** Returns why a part of a map is invalid, or undefined. */
type Check = (text: string, name: string) => string | undefined;

/** A map of strings, empty when absent; `name` and `value` validate an entry's name and value. */
export function stringMap(checks: { readonly name?: Check; readonly value?: Check }) {
  return {
    type: { kind: "map", of: "string" } satisfies HclType,
    schema: v.optional(
      mapOf((name, value) => {
        const problem = checks.name?.(name, name);
        if (problem !== undefined) return new Problem(problem);
        if (typeof value !== "string") return new Problem("it must be a string");
        const wrong = textProblem(value) ?? checks.value?.(value, name);
        return wrong === undefined ? value : new Problem(wrong);
      }),
      {},
    ),
  } as const;
}

/** A map of numbers, empty when absent; `value` validates an entry's value. */
export function numberMap(checks: { readonly value: (value: number) => string | undefined }) {
  return {
    type: { kind: "map", of: "number" } satisfies HclType,
    schema: v.optional(
      mapOf((_name, value) => {
        if (typeof value !== "number") return new Problem("it must be a number");
        const problem = checks.value(value);
        return problem === undefined ? value : new Problem(problem);
      }),
      {},
    ),
  } as const;
}

/** A map of lists of strings, empty when absent; `name` and `element` validate an entry's name and each string. */
export function stringsMap(checks: { readonly name: Check; readonly element: Check }) {
  return {
    type: { kind: "map", of: "list of string" } satisfies HclType,
    schema: v.optional(
      mapOf((name, value) => {
        const problem = checks.name(name, name);
        if (problem !== undefined) return new Problem(problem);
        if (!isTexts(value)) return new Problem("it must be a list of strings");
        for (const text of value) {
          const wrong = textProblem(text) ?? checks.element(text, name);
          if (wrong !== undefined) return new Problem(`${JSON.stringify(text.slice(0, 100))} is not valid: ${wrong}`);
        }
        return value;
      }),
      {},
    ),
  } as const;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((element) => typeof element === "string");
}

/** A map with any names: valibot's own v.record() silently drops entries named "constructor" or "prototype". */
function mapOf<T>(element: (name: string, value: unknown) => T | Problem) {
  return v.pipe(
    v.custom<Readonly<Record<string, unknown>>>(isRecord),
    v.rawTransform(({ dataset, addIssue, NEVER }): Readonly<Record<string, T>> => {
      const entries: [string, T][] = [];
      for (const [key, value] of Object.entries(dataset.value)) {
        const result =
          textProblem(key) === undefined ? element(key, value) : new Problem("its name must be valid text");
        if (result instanceof Problem) {
          const path = { type: "object", origin: "value", input: {}, key, value } as const;
          addIssue({ message: result.clause, input: value, path: [path] });
          return NEVER;
        }
        entries.push([key, result]);
      }
      return Object.fromEntries(entries);
    }),
  );
}
