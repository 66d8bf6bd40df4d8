import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseOomKills } from "./cgroup-events";
import type { CgroupLayout } from "./cgroup-layout";
import { type LimitWrite, planLimits } from "./cgroup-limits";
import { childGroups, walkCgroups } from "./cgroup-walk";
import { errnoCode, isMissing } from "./errno";
import { errorText } from "./error-text";
import { SIGKILL } from "./signals";

/** Parent of all tasks' cgroups in every tree. */
const BASE = "nomad-driver-nspawn";
/** v1 trees a task gets a cgroup in: those with limits or rules, those with figures, and the one a booted systemd manages its units in. */
const LEGACY_TREES = ["memory", "cpu", "cpuacct", "cpuset", "pids", "devices", "name=systemd"] as const;
/** What is switched on for the tasks in a v2 tree, where the host has it. */
const UNIFIED_CONTROLLERS = ["memory", "cpu", "cpuset", "pids", "io"] as const;
const FIRST_DELAY_MS = 1;
const LONGEST_DELAY_MS = 50;
/** The kernel takes a moment to account for killed processes before their cgroup can be removed. */
const SETTLE_MS = 5_000;
/** A busy machine takes its time to end the threads of the last supervising process; nobody comes after it to remove what is left. */
const PARENT_MS = 5_000;

/**
 * Where the supervising processes stay: outside of their tasks' limits, and outside of the agent's cgroup, that an init
 * script may kill as a whole. No machine's name begins with a full stop.
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
 * Makes a cgroup in every tree and writes the limits. A host that cannot limit something still runs the task.
 *
 * @returns sentences about what is not limited
 */
export function createCgroup(
  layout: CgroupLayout,
  name: string,
  limits: Parameters<typeof planLimits>[0],
): readonly string[] {
  const directories = cgroupDirectories(layout, name);
  const problems: string[] = [];
  for (const [tree, directory] of directories) {
    attempt(problems, `No cgroup could be made at ${directory}`, () => makeGroup(tree, directory));
  }
  const { writes, missing } = planLimits(limits, layout);
  problems.push(
    ...missing.map((limit) => `${unlimited(limit)}: this host has no ${limit.controller} controller for us`),
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
    attempt(problems, `The cgroup ${directory} could not be entered`, () =>
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
  return file === undefined ? 0 : parseOomKills(readIfThere(file) ?? "");
}

/** SIGKILLs everything in the cgroup, again until nothing is left in it, 5 s at most; false when something is left. */
export async function killCgroup(layout: CgroupLayout, name: string): Promise<boolean> {
  return killGroups([...new Set(cgroupDirectories(layout, name).values())]);
}

/** SIGKILLs everything in cgroups and those below them, as killCgroup() does. */
export async function killGroups(directories: readonly string[]): Promise<boolean> {
  return settle(async () => {
    const alive = (await Promise.all(directories.map(processesBelow))).flat();
    if (alive.length === 0) return true;
    for (const directory of directories) killAtOnce(directory);
    for (const pid of alive) kill(pid);
    return false;
  });
}

/**
 * Makes a task's cgroup one that can be entered again: systemd-nspawn leaves cgroups below it and controllers switched on
 * for them, and a v2 cgroup that passes controllers on takes no processes (the kernel's cgroup-v2.rst, "No Internal
 * Process Constraint"). To be called when everything in it has ended.
 */
export async function resetCgroup(layout: CgroupLayout, name: string): Promise<void> {
  const unified = cgroupDirectories(layout, name).get("unified");
  if (unified === undefined) return;
  await settle(() => removeAll(childGroups(unified).map((group) => join(unified, group))));
  disableControllers(unified);
}

/**
 * Removes a cgroup and all below it; processes that were just killed are waited for, 5 s at most. The parents go with
 * their last task.
 *
 * @returns sentences about what is left
 */
export async function removeCgroup(layout: CgroupLayout, name: string): Promise<readonly string[]> {
  const directories = [...new Set(cgroupDirectories(layout, name).values())];
  const gone = await settle(() => removeAll(directories));
  await settle(() => directories.map((directory) => removeUnusedParent(dirname(directory))).every(Boolean), PARENT_MS);
  if (gone) return [];
  const left = directories.filter((directory) => !removeEmpty(directory));
  return left.map((directory) => `The cgroup ${directory} could not be removed: it still has processes.`);
}

function unlimited({ meaning, value }: LimitWrite): string {
  return `The limit of ${meaning} (${value}) is not enforced`;
}

/** A parent may go away with another task's end just now, hence the second try. */
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

/** One by one, for the kernel refuses all when it refuses one. What stays off shows when a limit is written. */
function enableControllers(directory: string): void {
  const available = readIfThere(join(directory, "cgroup.controllers"))?.split(/\s+/) ?? [];
  for (const controller of UNIFIED_CONTROLLERS) {
    if (!available.includes(controller)) continue;
    try {
      writeFileSync(join(directory, "cgroup.subtree_control"), `+${controller}`);
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
    }
  }
}

function disableControllers(directory: string): void {
  const file = join(directory, "cgroup.subtree_control");
  for (const controller of readIfThere(file)?.split(/\s+/).filter(Boolean) ?? []) {
    try {
      writeFileSync(file, `-${controller}`);
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
    }
  }
}

/** A new v1 cpuset is empty, and no process can enter it. */
function inheritCpuset(directory: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if (readFileSync(join(directory, file), "utf8").trim() !== "") continue;
    writeFileSync(join(directory, file), readFileSync(join(dirname(directory), file), "utf8").trim());
  }
}

/** cgroup.kill (Linux 5.14) reaches forks in the middle; without it the loop around does the work. */
function killAtOnce(directory: string): void {
  try {
    writeFileSync(join(directory, "cgroup.kill"), "1", { flag: "r+" });
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, SIGKILL);
  } catch (error) {
    if (errnoCode(error) !== "ESRCH") throw error;
  }
}

/** 0 stands for a process outside of our PID namespace. */
async function processesBelow(directory: string): Promise<readonly number[]> {
  const found: number[] = [];
  await walkCgroups(directory, {
    at: (group) => {
      const lines = (readIfThere(join(group, "cgroup.procs")) ?? "").split("\n");
      found.push(...lines.map(Number).filter((pid) => pid > 0));
    },
  });
  return found;
}

/** Removes cgroups and all below them as far as they have no processes; true when all of them are gone. */
async function removeAll(directories: readonly string[]): Promise<boolean> {
  for (const directory of directories) await walkCgroups(directory, { leave: removeEmpty });
  return directories.map(removeEmpty).every(Boolean);
}

/**
 * True when the parent of all tasks' cgroups is gone, or still has a task. A supervising process that just ended keeps its
 * cgroup for as long as its threads take to go.
 */
function removeUnusedParent(parent: string): boolean {
  const supervisors = join(parent, SUPERVISORS_CGROUP);
  if (childGroups(parent).some((group) => group !== SUPERVISORS_CGROUP)) return true;
  return removeEmpty(supervisors) && removeEmpty(parent);
}

/** Removes a cgroup without processes and children; true when it is gone, also when it never was. */
export function removeEmpty(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (isMissing(error)) return true;
    if (errnoCode(error) === undefined) throw error;
    return false;
  }
}

async function settle(done: () => boolean | Promise<boolean>, timeoutMs = SETTLE_MS): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (let delay = FIRST_DELAY_MS; ; delay = Math.min(delay * 2, LONGEST_DELAY_MS)) {
    if (await done()) return true;
    if (performance.now() >= deadline) return false;
    await Bun.sleep(delay);
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error) || errnoCode(error) === "ENODEV") return undefined;
    throw error;
  }
}

function attempt(problems: string[], sentence: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    problems.push(`${sentence}: ${errorText(error)}`);
  }
}
