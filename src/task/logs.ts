import { chownSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { join, relative } from "node:path";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { withLog } from "../supervisor/log-file";
import { LaunchError } from "../supervisor/supervisor";

/** Paths of a task's logs on the host. */
export interface LogPaths {
  readonly stdoutPath: string;
  readonly stderrPath: string;
}

/**
 * A task's logs by paths in which only the allocation's own part can have symlinks: one above the allocation, in the agent's data_dir,
 * is the operator's and is followed; one below may be a task's, and openLog() refuses it. An empty path means that the output is discarded:
 * Nomad's clients send it where nothing reads the log.
 */
export async function logPaths(config: Pick<TaskConfig, "allocDir" | "stdoutPath" | "stderrPath">): Promise<LogPaths> {
  const { allocDir, stdoutPath, stderrPath } = config;
  const allocation = await realpath(allocDir).catch(() => allocDir);
  const known = (path: string) => {
    if (path === "") return "/dev/null";
    const below = relative(allocDir, path);
    return allocDir === "" || below === ".." || below.startsWith("../") ? path : join(allocation, below);
  };
  return { stdoutPath: known(stdoutPath), stderrPath: known(stderrPath) };
}

/**
 * Gives the FIFOs of a task's log to a user of the host, that its container's first program is there: images' programs like to open
 * /dev/stdout and /dev/stderr again, which asks for a right to the FIFO itself. An earlier start may have given them to another user. What
 * is in the way is left alone, and refused when the container is started.
 */
export function giveLogs(paths: readonly string[], user: { readonly uid: number; readonly gid: number }): void {
  for (const path of paths) {
    try {
      withLog(path, undefined, (place, isFifo) => {
        if (isFifo) chownSync(place, user.uid, user.gid);
      });
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
    }
  }
}
