import { join } from "node:path";
import { readIfThere } from "../../lib/files";
import { defined } from "../../lib/objects";
import { type CgroupLayout, readCgroupFile, readCgroupLayout } from "./layout";
import { type CgroupFigures, cpuV1, cpuV2, memoryV1, memoryV2, type ReadFile } from "./stats";

/** The directories of a container's cgroups: those that hold all of its processes and no others. */
export interface ContainerCgroups {
  readonly unified?: string;
  /** By v1 controller. */
  readonly legacy: ReadonlyMap<string, string>;
}

/** A line of /proc/PID/cgroup: the process's cgroup in one tree. */
interface Membership {
  /** Of the v1 tree, such as ["cpu", "cpuacct"] or ["name=systemd"]; none for the v2 tree. */
  readonly controllers: readonly string[];
  /** The cgroup, relative to the root of its tree. */
  readonly path: string;
}

/** Parses /proc/PID/cgroup (cgroups(7)); invalid lines are skipped. */
export function parseMembership(text: string): readonly Membership[] {
  return text.split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) return [];
    return [{ controllers: controllers === "" ? [] : controllers.split(","), path }];
  });
}

/** The name of systemd-nspawn's own cgroup, beside its container's (nspawn-cgroup.c). */
const SUPERVISOR = "/supervisor";

/**
 * A container's cgroups.
 *
 * @param membership content of /proc/PID/cgroup of its systemd-nspawn (cgroups(7))
 * @param machine its name, which is in the path of each cgroup of its own: the others are shared and have no figures of it
 */
export function containerCgroups(layout: CgroupLayout, membership: string, machine: string): ContainerCgroups {
  const legacy = new Map<string, string>();
  let unified: string | undefined;
  for (const { controllers, path } of parseMembership(membership)) {
    if (!path.includes(machine)) continue;
    const own = path.endsWith(SUPERVISOR) ? path.slice(0, -SUPERVISOR.length) : path;
    if (controllers.length === 0) unified = layout.unified && join(layout.unified.path, own);
    for (const controller of controllers) {
      const tree = layout.legacy.get(controller);
      if (tree !== undefined) legacy.set(controller, join(tree, own));
    }
  }
  return { ...defined({ unified }), legacy };
}

/** The cgroups of the container of a systemd-nspawn with this PID; empty if it is gone. */
export function findContainerCgroups(mainPid: number, machine: string): ContainerCgroups {
  const membership = readIfThere(`/proc/${mainPid}/cgroup`);
  return membership === undefined ? { legacy: new Map() } : containerCgroups(readCgroupLayout(), membership, machine);
}

/** A container's current usage; empty if it is gone. A controller is in one tree, v1 or v2. */
export function readFigures({ unified, legacy }: ContainerCgroups): CgroupFigures {
  const [cpuacct, cpu, memory] = ["cpuacct", "cpu", "memory"].map((name) => reader(legacy.get(name)));
  const v2 = reader(unified);
  const cpuFigures = (cpuacct && cpuV1(cpuacct, cpu ?? nothing)) ?? (v2 && cpuV2(v2));
  const memoryFigures = (memory && memoryV1(memory)) ?? (v2 && memoryV2(v2));
  return defined({ cpu: cpuFigures, memory: memoryFigures });
}

const nothing: ReadFile = () => undefined;

function reader(directory: string | undefined): ReadFile | undefined {
  if (directory === undefined) return undefined;
  return (name) => readCgroupFile(`${directory}/${name}`);
}
