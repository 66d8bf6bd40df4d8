/** A separate cgroup in every hierarchy of the machine, v1, v2 or both, so that a test does not affect other cgroups. */

import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A mounted cgroup hierarchy and the cgroup of this process in it. */
interface Hierarchy {
  readonly mountPoint: string;
  /** The directory of this process's cgroup. */
  readonly own: string;
  readonly cpuset: boolean;
}

/** Milliseconds until a cgroup that is still busy counts as an error. */
const busyTime = 5_000;

/** Makes a child cgroup called `name` below this process's own in every hierarchy; returns their directories. */
export async function makeOwnCgroups(name: string): Promise<string[]> {
  const made: string[] = [];
  for (const { own, cpuset } of await hierarchies()) {
    const directory = join(own, name);
    await mkdir(directory);
    made.push(directory);
    // A v1 cpuset accepts no process before it has CPUs and memory nodes.
    if (cpuset) {
      for (const file of ["cpuset.cpus", "cpuset.mems"]) {
        await writeFile(join(directory, file), await readFile(join(own, file), "utf8"));
      }
    }
  }
  return made;
}

/** Removes cgroups and those below them; the processes in them must be gone. */
export async function removeCgroups(directories: readonly string[]): Promise<void> {
  for (const directory of directories) await removeCgroup(directory);
}

async function removeCgroup(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  for (const entry of entries) if (entry.isDirectory()) await removeCgroup(join(directory, entry.name));
  // A cgroup stays busy for a moment after its last process was killed, and no event reports when that moment is over.
  for (const deadline = performance.now() + busyTime; ; await Bun.sleep(20)) {
    const failure = await rmdir(directory).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error,
    );
    if (failure === undefined || failure.code === "ENOENT") return;
    if (failure.code !== "EBUSY" || performance.now() > deadline) throw failure;
  }
}

async function hierarchies(): Promise<Hierarchy[]> {
  const [mounts, membership] = await Promise.all([
    readFile("/proc/self/mountinfo", "utf8"),
    readFile("/proc/self/cgroup", "utf8"),
  ]);
  return cgroupHierarchies(mounts, membership);
}

/** Pairs the cgroup mounts of a mountinfo file with the paths of a /proc/PID/cgroup file. */
export function cgroupHierarchies(mountinfo: string, membership: string): Hierarchy[] {
  const paths = new Map<string, string>();
  for (const line of membership.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers !== undefined && path !== undefined) paths.set(controllers, path);
  }
  const found: Hierarchy[] = [];
  // The first mount of a hierarchy counts: a systemd-nspawn that is just starting mounts it a second time, below /tmp.
  const devices = new Set<string>();
  for (const line of mountinfo.split("\n")) {
    const [left, right] = line.split(" - ");
    const [, , device, , mountPoint] = left?.split(" ") ?? [];
    const [type, , options] = right?.split(" ") ?? [];
    if (mountPoint === undefined || (type !== "cgroup" && type !== "cgroup2")) continue;
    for (const [controllers, path] of paths) {
      const names = controllers.split(",");
      const mounted = options?.split(",") ?? [];
      const same =
        type === "cgroup2" ? controllers === "" : controllers !== "" && names.every((n) => mounted.includes(n));
      if (same && device !== undefined && !devices.has(device)) {
        devices.add(device);
        found.push({
          mountPoint,
          own: path === "/" ? mountPoint : join(mountPoint, path),
          cpuset: type === "cgroup" && names.includes("cpuset"),
        });
      }
    }
  }
  return found;
}
