import * as v from "valibot";
import { option } from "./option";
import { flag } from "./shapes";
import { checked } from "./validators";

/** Most processes a Linux host can have (PID_MAX_LIMIT). */
const MAX_PIDS = 4_194_304;

/** How much the container may use, beyond what the job's `resources` say. */
export const limitOptions = {
  cpu_hard_limit: option({
    ...flag(false),
    meaning:
      "Never give the task more CPU time than its `resources` say. Without it `cpu` is a weight: what others leave can be used.",
  }),
  pids_limit: option({
    type: { kind: "number", min: 1, max: MAX_PIDS },
    schema: v.optional(v.pipe(v.number(), checked(pidsProblem))),
    allowed: `a whole number from 1 to ${MAX_PIDS}`,
    meaning: "How many processes and threads the container may have; 16384 without it.",
    example: "pids_limit = 512",
  }),
};

function pidsProblem(value: number): string | undefined {
  return Number.isInteger(value) && value >= 1 && value <= MAX_PIDS
    ? undefined
    : `it must be a whole number from 1 to ${MAX_PIDS}`;
}
