import * as v from "valibot";
import { option } from "../option";
import { flag } from "../row-types";
import { checked } from "../validators";

/** Most processes a Linux host can have (PID_MAX_LIMIT). */
const MAX_PIDS = 4_194_304;

/** Limits beyond those of the job's `resources`. */
export const limitOptions = {
  cpu_hard_limit: option({
    ...flag(false),
    meaning:
      "Never give the task more CPU time than its `resources` specify. By default `cpu` is a weight: unused CPU time may be used.",
  }),
  pids_limit: option({
    type: { kind: "number", min: 1, max: MAX_PIDS },
    schema: v.optional(v.pipe(v.number(), checked(pidsProblem))),
    allowed: `a whole number from 1 to ${MAX_PIDS}`,
    meaning: "Maximum number of processes and threads of the container; 16384 by default.",
    example: "pids_limit = 512",
  }),
};

function pidsProblem(value: number): string | undefined {
  return Number.isInteger(value) && value >= 1 && value <= MAX_PIDS
    ? undefined
    : `it must be a whole number from 1 to ${MAX_PIDS}`;
}
