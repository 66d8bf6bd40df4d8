/**
 * The limit of what a container changes, where the file system of the image store has project quotas: the kernel refuses the write that
 * exceeds it. Nothing is recorded beside the file system's own data: a directory's project ID says which limit is its own, and a project
 * without files and limit is free.
 */

import { openSync } from "node:fs";
import { pollUntil } from "../../lib/deadline";
import { StoreError } from "../../lib/errors";
import { lockOpened } from "../../linux/flock";
import {
  enforcesProjectQuotas,
  limitProject,
  projectOf,
  projectUsage,
  setProject,
  unlimitProject,
} from "../../linux/project-quota";
import { candidateProjects, isOwnProject } from "../../values/project-ids";

/** Locked while a project is picked: stores of several agents may be on one file system. It exists while any machine is registered. */
const LOCKED = "/run/nomad-driver-nspawn";
const PACE = { firstMs: 1, longestMs: 20 };

/** What to limit. */
interface ChangesQuota {
  readonly machine: string;
  /** The directories for the changes, first the upper directory of the root's overlay, and overlayfs's own; empty, and on one file system. */
  readonly directories: readonly [upper: string, ...string[]];
  /** Bytes. */
  readonly limit: number;
}

/**
 * Limits the changes of a registered machine; does nothing if the file system does not enforce project quotas.
 *
 * @throws StoreError if no project ID is free, CallError
 */
export async function limitByQuota({ machine, directories, limit }: ChangesQuota): Promise<void> {
  const [upper] = directories;
  if (!enforcesProjectQuotas(upper)) return;
  using _lock = await pollUntil(() => lockOpened(openSync(LOCKED, "r"), LOCKED, "exclusive"), PACE);
  const project = freeProject(machine, upper);
  // overlayfs moves files from one to the other, which is possible only within a project. The limit comes last: a killed plugin must not
  // leave one that belongs to no directory.
  for (const directory of directories) setProject(directory, project);
  limitProject(upper, project, limit);
}

function freeProject(machine: string, directory: string): number {
  for (const project of candidateProjects(machine)) {
    const { bytes, limit } = projectUsage(directory, project);
    if (bytes === 0 && limit === 0) return project;
  }
  throw new StoreError("The image store's file system has no project ID left for another task with storage_limit.", {
    recoverable: true,
  });
}

/** Whether the kernel limits what is in the upper directory of a machine's root. */
export function isLimitedByQuota(upper: string): boolean {
  const project = projectOf(upper);
  return isOwnProject(project) && enforcesProjectQuotas(upper) && projectUsage(upper, project).limit > 0;
}

/**
 * Removes the limit of an upper directory whose files are removed next: the project is free again without them. Does nothing if
 * it has none, or does not exist.
 */
export function liftQuota(upper: string): void {
  const project = projectOf(upper);
  if (isOwnProject(project)) unlimitProject(upper, project);
}
