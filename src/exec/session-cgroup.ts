import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { isMissing } from "../lib/errors";
import type { CgroupLayout } from "../linux/cgroup/layout";
import { killGroups, removeEmpty } from "../linux/cgroup/manager";
import { parseMembership } from "../linux/cgroup/membership";
import { ContainerGoneError } from "./container";

/** The cgroups that a session of a container runs in. */
export interface SessionCgroup {
  /** Every cgroup to join: the session's own, and the container's in the trees where the session gets none. */
  readonly join: readonly string[];
  /** The session's own: all processes in it can be killed together. */
  readonly own: readonly string[];
}

/** systemd-nspawn's name for the cgroup that it delegates to a container (nspawn-cgroup.c). */
const PAYLOAD = "payload";
/** Trees in which a session gets its own cgroup: those without controllers, which limit nothing. */
const OWN_TREE = "name=systemd";

/**
 * The cgroups for a session.
 *
 * @param membership content of /proc/PID/cgroup of the container's first process (cgroups(7))
 * @param name of the session; must not be a cgroup of the container
 */
export function sessionCgroup(layout: CgroupLayout, membership: string, name: string): SessionCgroup {
  const groups: string[] = [];
  const own: string[] = [];
  for (const { controllers, path } of parseMembership(membership)) {
    const legacy = controllers.map((controller) => layout.legacy.get(controller)).find((found) => found !== undefined);
    const unlimited = controllers.length === 0 || controllers.join() === OWN_TREE;
    const tree = controllers.length === 0 ? layout.unified?.path : legacy;
    if (tree === undefined) continue;
    const directory = unlimited ? join(tree, delegated(path), name) : join(tree, path);
    groups.push(directory);
    if (unlimited) own.push(directory);
  }
  return { join: groups, own };
}

/**
 * The part of a path that belongs to the container as a whole: a cgroup below it is a leaf beside those that the container's
 * init system creates, and may have processes.
 */
function delegated(path: string): string {
  const parts = path.split("/");
  const end = parts.lastIndexOf(PAYLOAD);
  return end < 0 ? path : parts.slice(0, end + 1).join("/");
}

/**
 * Creates the session's own cgroups; if one cannot be created, none is left.
 *
 * @throws ContainerGoneError if the container's own cgroup is gone, with the container
 */
export function createSessionCgroup(session: SessionCgroup): void {
  try {
    for (const directory of session.own) mkdirSync(directory);
  } catch (error) {
    removeSessionCgroup(session);
    throw isMissing(error) ? new ContainerGoneError() : error;
  }
}

/** Sends SIGKILL to everything in the session, and removes its cgroups. */
export async function killSession(session: SessionCgroup): Promise<void> {
  await killGroups(session.own);
  removeSessionCgroup(session);
}

/** Removes the session's cgroups; if something was left running on purpose, they are removed with the task. */
export function removeSessionCgroup({ own }: SessionCgroup): void {
  for (const directory of own) removeEmpty(directory);
}
