import * as v from "valibot";
import { parseSize } from "../values/units";
import { Problem, parsed, text } from "./validators";

/** What a size is, as the end of a sentence that begins "it must be". */
export const SIZE = 'a size such as "500MB", "2GiB" or "0"';
const LIMIT = 'a size such as "500MB" or "2GiB", at least 1MB';
const LEAST_LIMIT = 1e6;

/** The schema of a size; the value is in bytes. */
export const size = v.pipe(text, parsed(bytesOf));

/** A row for a limit that may be absent; the value is in bytes. */
export const sizeLimit = {
  type: { kind: "string" },
  schema: v.optional(v.pipe(text, parsed(limitOf))),
  allowed: LIMIT,
} as const;

/** As sizeLimit, with a default. */
export function sizeLimitOr(fallback: string) {
  return { ...sizeLimit, schema: v.optional(v.pipe(text, parsed(limitOf)), fallback) } as const;
}

function bytesOf(value: string): number | Problem {
  return parseSize(value) ?? new Problem(`it must be ${SIZE}`);
}

function limitOf(value: string): number | Problem {
  const bytes = parseSize(value);
  return bytes === undefined || bytes < LEAST_LIMIT ? new Problem(`it must be ${LIMIT}`) : bytes;
}
