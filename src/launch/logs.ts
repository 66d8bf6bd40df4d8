import { chownSync, statSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { join, relative } from "node:path";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import type { Logger } from "../lib/logger";
import { withLog } from "../supervisor/log-file";
import { LaunchError } from "../supervisor/supervisor";
import { CONTAINER_IDS } from "../values/private-users";

/** Paths of a task's logs on the host. */
export interface LogPaths {
  readonly stdoutPath: string;
  readonly stderrPath: string;
}

/**
 * The paths of a task's logs, with the symlinks above the allocation resolved: those, in the agent's data_dir, belong to the operator
 * and are followed; a symlink below the allocation may have been put there by a task, and openLog() rejects it. An empty path means that
 * the output is discarded: Nomad's clients send it if nothing reads the log.
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

/** Where the journal of a container's system goes. */
export interface JournalTarget {
  /** The task's log: a FIFO, see openLog(). */
  readonly path: string;
  /** The file that keeps the cursor of the last entry in the log, so that a later plugin process continues after it. */
  readonly cursorFile: string;
  readonly log: Logger;
}

/**
 * The log that gets the journal of a task's system; undefined if it has none, or Nomad reads no log.
 *
 * @param paths see logPaths()
 */
export function journalPath(
  { boot, journal = "stdout" }: Pick<TaskOptions, "boot" | "journal">,
  { stdoutPath, stderrPath }: LogPaths,
): string | undefined {
  const path = journal === "stderr" ? stderrPath : stdoutPath;
  return boot && journal !== "off" && path !== "/dev/null" ? path : undefined;
}

/**
 * Changes the owner of a task's log FIFOs to the host user that the container's first program runs as: programs in images often reopen
 * /dev/stdout and /dev/stderr, which needs permission on the FIFO itself. An earlier start may have changed the owner to another user: to
 * one of its user namespace, if this start has one. Other files in place of the FIFOs, and a FIFO of a user of the host in place of one of
 * a namespace, are left unchanged here, and rejected when the container is started.
 */
export function chownLogPipes(paths: readonly string[], user: { readonly uid: number; readonly gid: number }): void {
  for (const path of paths) {
    try {
      withLog(path, undefined, (place, isFifo) => {
        if (isFifo && mayChange(statSync(place).uid, user.uid)) chownSync(place, user.uid, user.gid);
      });
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
    }
  }
}

function mayChange(owner: number, user: number): boolean {
  return owner === 0 || user < CONTAINER_IDS.first || owner >= CONTAINER_IDS.first;
}
