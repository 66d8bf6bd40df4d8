import { chownSync, closeSync, constants, fstatSync, openSync } from "node:fs";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";

const O_PATH = 0o10000000;

/** Where a task's output goes. */
export interface LogPaths {
  readonly stdout: string;
  readonly stderr: string;
}

/** The paths of a task's log. An empty one means that the output is discarded: Nomad sends it where log collection is off. */
export function logPaths({ stdoutPath, stderrPath }: Pick<TaskConfig, "stdoutPath" | "stderrPath">): LogPaths {
  return { stdout: stdoutPath || "/dev/null", stderr: stderrPath || "/dev/null" };
}

/**
 * Gives the FIFOs of a task's log to a user of the host, that its container's first program is there: images' programs like to open
 * /dev/stdout and /dev/stderr again, which asks for a right to the FIFO itself. Anything else in its place is left alone, for a
 * task can write to the directory.
 */
export function giveLogs(fifos: readonly string[], user: { readonly uid: number; readonly gid: number }): void {
  for (const path of fifos) {
    const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
    try {
      if (fstatSync(fd).isFIFO()) chownSync(`/proc/self/fd/${fd}`, user.uid, user.gid);
    } finally {
      closeSync(fd);
    }
  }
}
