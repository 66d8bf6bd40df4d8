import { type FSWatcher, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoCode, errorText, isMissing, permitted } from "../../lib/errors";
import { readIfThere, watchIfThere } from "../../lib/files";
import { type CgroupLayout, readCgroupFile } from "./layout";
import { cgroupDirectories } from "./manager";
import { childGroups } from "./walk";

/** The files with the CPUs that a cgroup really has: of cgroup v2, of v1, and of a v1 kernel without it (before Linux 3.16). */
const EFFECTIVE = ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"] as const;
/** The file whose change is an event; the kernel reports none for the effective CPUs. */
const CONFIGURED = "cpuset.cpus";
/** Between two looks at a cgroup that was made anew, or whose ancestor has changed: neither is an event. */
const LOOK_MS = 15_000;

/**
 * The CPUs that a cgroup may use now, as a list such as "0-3,7".
 *
 * @param read content of a file of the cgroup; undefined if it has no such file
 * @returns undefined if the cgroup is gone, has no CPUs, or no cpuset controller
 */
export function effectiveCpus(read: (name: string) => string | undefined): string | undefined {
  for (const name of EFFECTIVE) {
    const text = read(name)?.trim();
    if (text !== undefined && text !== "") return text;
  }
  return undefined;
}

/** effectiveCpus() of the cgroup in a directory. */
export function readCpus(directory: string): string | undefined {
  return effectiveCpus((name) => readCgroupFile(join(directory, name)));
}

/** All CPUs of this host that are online, as a list; undefined if the kernel does not report them. */
export function onlineCpus(): string | undefined {
  return readIfThere("/sys/devices/system/cpu/online")?.trim();
}

/**
 * Calls `changed` with the CPUs of a cgroup when they have changed, also if the cgroup is removed and made anew.
 *
 * @param known the CPUs that the caller knows of; `changed` is called at once if they are others
 * @returns stops watching
 */
export function watchCpus(directory: string, known: string | undefined, changed: (cpus: string) => void): () => void {
  let last = known;
  const look = (): void => {
    const cpus = readCpus(directory);
    if (cpus === undefined || cpus === last) return;
    last = cpus;
    changed(cpus);
  };
  // Since 1.7 Nomad writes the cores of all tasks into the parent.
  const paths = [directory, dirname(directory)].map((path) => join(path, CONFIGURED));
  let watchers: readonly FSWatcher[] = [];
  const listen = (): void => {
    for (const watcher of watchers) watcher.close();
    watchers = paths.flatMap((path) => watchIfThere(path, look) ?? []);
  };
  listen();
  look();
  const timer = setInterval(() => {
    listen();
    look();
  }, LOOK_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    for (const watcher of watchers) watcher.close();
  };
}

/**
 * Sets the CPUs of a container's cgroup while it runs. In a v1 tree the cgroups below get them too: there, unlike in v2, they keep their
 * own list, and the kernel refuses to take a CPU from a cgroup that one below it has.
 *
 * @returns a sentence if the kernel refused it
 */
export function setCpus(layout: CgroupLayout, name: string, cpus: string): string | undefined {
  const legacy = layout.legacy.has("cpuset");
  const own = cgroupDirectories(layout, name).get(legacy ? "cpuset" : "unified");
  if (own === undefined) return undefined;
  const below = legacy ? groupsBelow(own) : [];
  // What a cgroup that is just removed, or has no CPU in common, refuses does not matter to the others.
  for (const group of below.toReversed()) permitted(() => writeCpus(group, cpus));
  try {
    writeCpus(own, cpus);
  } catch (error) {
    if (isMissing(error)) return undefined;
    return `The cores of the task cannot be set to ${cpus}: ${errnoCode(error) ?? errorText(error)}.`;
  }
  for (const group of below) permitted(() => writeCpus(group, cpus));
  return undefined;
}

const writeCpus = (directory: string, cpus: string) => writeFileSync(join(directory, CONFIGURED), cpus, { flag: "r+" });

/** All cgroups below one, each before those below it. */
function groupsBelow(directory: string): string[] {
  return childGroups(directory).flatMap((name) => {
    const child = join(directory, name);
    return [child, ...groupsBelow(child)];
  });
}
