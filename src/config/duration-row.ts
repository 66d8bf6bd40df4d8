import * as v from "valibot";
import { parseDuration } from "../values/units";
import { Problem, parsed, text } from "./validators";

const DURATION = 'a duration such as "90s", "3m" or "1h"';

/** A row for a duration with a default, both written as Go does; the value is in milliseconds. */
export function duration(fallback: string, least: number) {
  return {
    type: { kind: "string" },
    schema: v.optional(v.pipe(text, parsed(parser(least))), fallback),
    allowed: minimum(least),
  } as const;
}

/** As duration(), without a default. */
export function optionalDuration(least: number) {
  return {
    type: { kind: "string" },
    schema: v.optional(v.pipe(text, parsed(parser(least)))),
    allowed: minimum(least),
  } as const;
}

function parser(least: number) {
  return (value: string) => {
    const milliseconds = parseDuration(value);
    return milliseconds === undefined || milliseconds < least
      ? new Problem(`it must be ${minimum(least)}`)
      : milliseconds;
  };
}

function minimum(least: number): string {
  return least === 0 ? DURATION : `${DURATION}, at least ${least / 1000}s`;
}
