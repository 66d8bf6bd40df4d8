import * as v from "valibot";
import { option } from "../option";
import { flag } from "../row-types";
import { sizeLimit } from "../size-row";
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
  storage_limit: option({
    ...sizeLimit,
    meaning:
      'How much the task\'s changes to its root file system may take. Where the file system of `image_store` has project quotas, a write beyond it fails with "Disk quota exceeded". Elsewhere the changes are measured every five seconds, and for many files less often, and a task that exceeds it is killed, with a task event. With `volatile = "overlay"` it is the size of the tmpfs, at most 25 % of the host\'s memory. For a directory or disk image it needs `ephemeral`, `read_only` or `volatile = "overlay"`; `/tmp` counts if it is on the disk (`tmp`), and the task\'s own directories and volumes do not.',
    example: 'storage_limit = "2GiB"',
  }),
};

function pidsProblem(value: number): string | undefined {
  return Number.isInteger(value) && value >= 1 && value <= MAX_PIDS
    ? undefined
    : `it must be a whole number from 1 to ${MAX_PIDS}`;
}
