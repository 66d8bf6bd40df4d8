import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { becomesTrue } from "../../lib/deadline";
import { errorText, ifThere, isMissing, permitted, unless } from "../../lib/errors";
import { SIGKILL } from "../../values/signals";
import { type CgroupLayout, readCgroupFile } from "./layout";
import { type LimitWrite, planLimits } from "./limits";
import { parseOomKills } from "./oom";
import { childGroups, walkCgroups } from "./walk";

/** Parent of all tasks' cgroups in every tree. */
const BASE = "nomad-driver-nspawn";
/** v1 trees in which a task gets a cgroup: those with limits or device rules, those with figures, and the one of a booted systemd for its units. */
const LEGACY_TREES = ["memory", "cpu", "cpuacct", "cpuset", "pids", "devices", "name=systemd"] as const;
/** Controllers enabled for the tasks in a v2 tree, if the host has them. */
const UNIFIED_CONTROLLERS = ["memory", "cpu", "cpuset", "pids", "io"] as const;
/** Between two looks at a cgroup whose processes end. */
const PACE = { firstMs: 1, longestMs: 50 };
/** The kernel needs a moment to account for killed processes before their cgroup can be removed. */
const SETTLE_MS = 5_000;
/** A busy machine needs time to end the threads of the last shim; no other process would remove the remains later. */
const PARENT_MS = 5_000;

/**
 * The cgroup of the shims: outside of their tasks' limits, and outside of the agent's cgroup, which an init
 * script may kill as a whole. No machine name begins with a full stop.
 */
export const SUPERVISORS_CGROUP = ".supervisors";

/** The directory of a task's cgroup in each tree, by v1 controller, and "unified" for the v2 tree. */
export function cgroupDirectories(layout: CgroupLayout, name: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const controller of LEGACY_TREES) {
    const tree = layout.legacy.get(controller);
    if (tree !== undefined) found.set(controller, join(tree, BASE, name));
  }
  if (layout.unified !== undefined) found.set("unified", join(layout.unified.path, BASE, name));
  return found;
}

/**
 * Creates a cgroup in every tree and writes the limits. If the host cannot enforce a limit, the task still runs.
 *
 * @returns sentences about limits that are not enforced
 */
export function createCgroup(
  layout: CgroupLayout,
  name: string,
  limits: Parameters<typeof planLimits>[0],
): readonly string[] {
  const directories = cgroupDirectories(layout, name);
  const problems: string[] = [];
  for (const [tree, directory] of directories) {
    attempt(problems, `Cannot create a cgroup at ${directory}`, () => makeGroup(tree, directory));
  }
  const { writes, missing } = planLimits(limits, layout);
  problems.push(
    ...missing.map(
      (limit) => `${unlimited(limit)}: cgroup controller "${limit.controller}" is not available on this host`,
    ),
  );
  for (const limit of writes) {
    const directory = directories.get(layout.legacy.has(limit.controller) ? limit.controller : "unified");
    if (directory === undefined) continue;
    attempt(limit.optional ? [] : problems, unlimited(limit), () =>
      writeFileSync(join(directory, limit.file), limit.value, { flag: "r+" }),
    );
  }
  return problems;
}

/**
 * Moves this whole process into a cgroup in every tree; what it spawns afterwards starts there.
 *
 * @returns sentences about trees where that failed
 */
export function enterCgroup(layout: CgroupLayout, name: string): readonly string[] {
  const problems: string[] = [];
  for (const directory of new Set(cgroupDirectories(layout, name).values())) {
    attempt(problems, `Cannot enter the cgroup ${directory}`, () =>
      writeFileSync(join(directory, "cgroup.procs"), String(process.pid)),
    );
  }
  return problems;
}

/** How often the kernel killed a process of the task for memory. */
export function oomKills(layout: CgroupLayout, name: string): number {
  const directories = cgroupDirectories(layout, name);
  const legacy = directories.get("memory");
  const unified = directories.get("unified");
  const file = legacy ? join(legacy, "memory.oom_control") : unified && join(unified, "memory.events");
  return file === undefined ? 0 : parseOomKills(readCgroupFile(file) ?? "");
}

/** Sends SIGKILL to all processes in the cgroup, repeatedly for up to 5 s; false if any are left. */
export async function killCgroup(layout: CgroupLayout, name: string): Promise<boolean> {
  return killGroups([...new Set(cgroupDirectories(layout, name).values())]);
}

/** Sends SIGKILL to all processes in several cgroups and those below them, as killCgroup() does. */
export async function killGroups(directories: readonly string[]): Promise<boolean> {
  return settle(async () => {
    const alive = (await Promise.all(directories.map(processesBelow))).flat();
    if (alive.length === 0) return true;
    // cgroup.kill (Linux 5.14) also catches concurrent forks; without it the repetition does.
    for (const directory of directories) {
      permitted(() => writeFileSync(join(directory, "cgroup.kill"), "1", { flag: "r+" }));
    }
    for (const pid of alive) unless("ESRCH", () => process.kill(pid, SIGKILL));
    return false;
  });
}

/**
 * Makes a task's cgroup usable for processes again: systemd-nspawn leaves child cgroups with controllers enabled for them,
 * and a v2 cgroup that delegates controllers accepts no processes (the kernel's cgroup-v2.rst, "No Internal
 * Process Constraint"). Call it when all its processes have ended.
 */
export async function resetCgroup(layout: CgroupLayout, name: string): Promise<void> {
  const unified = cgroupDirectories(layout, name).get("unified");
  if (unified === undefined) return;
  await settle(() => removeAll(childGroups(unified).map((group) => join(unified, group))));
  disableControllers(unified);
}

/**
 * Removes a cgroup and all below it; waits up to 5 s for processes that were just killed. The parents are removed with
 * their last task.
 *
 * @returns sentences about what is left over
 */
export async function removeCgroup(layout: CgroupLayout, name: string): Promise<readonly string[]> {
  const directories = [...new Set(cgroupDirectories(layout, name).values())];
  const gone = await settle(() => removeAll(directories));
  await settle(() => directories.map((directory) => removeUnusedParent(dirname(directory))).every(Boolean), PARENT_MS);
  if (gone) return [];
  const left = directories.filter((directory) => !removeEmpty(directory));
  return left.map((directory) => `Cannot remove the cgroup ${directory}: it still has processes.`);
}

function unlimited({ meaning, value }: LimitWrite): string {
  return `The limit of ${meaning} (${value}) is not enforced`;
}

/** Another task's end may remove a parent at the same moment, hence the second try. */
function makeGroup(tree: string, directory: string): void {
  const parent = dirname(directory);
  const make = (): void => {
    mkdirSync(parent, { recursive: true });
    if (tree === "unified") {
      enableControllers(dirname(parent));
      enableControllers(parent);
    }
    if (tree === "cpuset") inheritCpuset(parent);
    mkdirSync(directory, { recursive: true });
    if (tree === "cpuset") inheritCpuset(directory);
  };
  try {
    make();
  } catch (error) {
    if (!isMissing(error)) throw error;
    make();
  }
}

/** One by one: the kernel rejects the whole line if it rejects one. A controller that stays off is noticed when a limit is written. */
function enableControllers(directory: string): void {
  const available = readCgroupFile(join(directory, "cgroup.controllers"))?.split(/\s+/) ?? [];
  for (const controller of UNIFIED_CONTROLLERS) {
    if (!available.includes(controller)) continue;
    permitted(() => writeFileSync(join(directory, "cgroup.subtree_control"), `+${controller}`));
  }
}

function disableControllers(directory: string): void {
  const file = join(directory, "cgroup.subtree_control");
  for (const controller of readCgroupFile(file)?.split(/\s+/).filter(Boolean) ?? []) {
    permitted(() => writeFileSync(file, `-${controller}`));
  }
}

/** A new v1 cpuset is empty; no process can enter it until it is filled. */
function inheritCpuset(directory: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if (readFileSync(join(directory, file), "utf8").trim() !== "") continue;
    writeFileSync(join(directory, file), readFileSync(join(dirname(directory), file), "utf8").trim());
  }
}

/** 0 means a process outside of our PID namespace. */
async function processesBelow(directory: string): Promise<readonly number[]> {
  const found: number[] = [];
  await walkCgroups(directory, {
    at: (group) => {
      const lines = (readCgroupFile(join(group, "cgroup.procs")) ?? "").split("\n");
      found.push(...lines.map(Number).filter((pid) => pid > 0));
    },
  });
  return found;
}

/** Removes cgroups and all below them unless they have processes; true if all of them are gone. */
async function removeAll(directories: readonly string[]): Promise<boolean> {
  for (const directory of directories) await walkCgroups(directory, { leave: removeEmpty });
  return directories.map(removeEmpty).every(Boolean);
}

/**
 * True if the parent of all tasks' cgroups is gone, or still has a task. A shim that just ended keeps its
 * cgroup until its threads have exited.
 */
function removeUnusedParent(parent: string): boolean {
  const supervisors = join(parent, SUPERVISORS_CGROUP);
  if (childGroups(parent).some((group) => group !== SUPERVISORS_CGROUP)) return true;
  return removeEmpty(supervisors) && removeEmpty(parent);
}

/** Removes a cgroup without processes and children; true if it is gone, or never existed. */
export function removeEmpty(directory: string): boolean {
  return permitted(() => ifThere(() => rmdirSync(directory), undefined));
}

function settle(done: () => boolean | Promise<boolean>, timeoutMs = SETTLE_MS): Promise<boolean> {
  return becomesTrue(done, { ...PACE, timeoutMs });
}

function attempt(problems: string[], sentence: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    problems.push(`${sentence}: ${errorText(error)}`);
  }
}
