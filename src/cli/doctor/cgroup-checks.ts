import type { CgroupLayout } from "../../linux/cgroup/layout";
import { about, type Finding } from "./finding";
import type { HostFacts } from "./host-facts";

/** Controllers that the driver uses, and what does not work without each. */
const controllers = {
  memory: "memory limits are not enforced",
  cpu: "the cpu shares of tasks are not enforced",
  cpuset: "reserved cores are not enforced, and tasks without cores may run on those of others",
  pids: "the number of processes is not counted",
} as const;

const kinds = {
  v2: "one unified hierarchy (v2)",
  hybrid: "v1 controllers beside a v2 hierarchy (hybrid)",
  v1: "one hierarchy per controller (v1)",
} as const;

/** Evaluates control groups: their version, and the controllers that tasks need. */
export function cgroupFindings({ cgroups: layout, booted }: Pick<HostFacts, "cgroups" | "booted">): Finding[] {
  if (layout.kind === "none") {
    return [
      about("cgroups").error(
        "No control groups are mounted: tasks cannot be limited, measured or killed as a whole.",
        "Boot with systemd, or: mount -t cgroup2 cgroup2 /sys/fs/cgroup",
      ),
    ];
  }
  return [version(layout.kind), ...missing(layout), ...cores(layout, booted)];
}

function version(kind: keyof typeof kinds): Finding {
  const text = `Control groups are mounted as ${kinds[kind]}.`;
  if (kind === "v2") return about("cgroups").ok(text);
  return about("cgroups").warning(
    `${text} systemd 258 and later, on the host or in an image that boots, needs v2.`,
    "Boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line.",
  );
}

/** Nothing if the controller is missing altogether, which missing() reports. */
function cores({ legacy, unified }: CgroupLayout, booted: boolean): readonly Finding[] {
  const report = about("cores");
  const v2 = unified?.controllers.includes("cpuset") === true;
  if (v2 || (!booted && legacy.has("cpuset"))) {
    return [report.ok("Tasks with cores have their own, and tasks without cores run on the others.")];
  }
  if (!legacy.has("cpuset")) return [];
  return [
    report.warning(
      "systemd does not manage the cpuset controller of cgroup v1: a task without cores may run on the cores of other tasks, and a task with cores on all.",
      "Boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line.",
    ),
  ];
}

function missing(layout: CgroupLayout): Finding[] {
  const has = (name: string) => layout.legacy.has(name) || layout.unified?.controllers.includes(name) === true;
  const lacking = Object.entries(controllers).filter(([name]) => !has(name));
  if (lacking.length === 0) {
    const names = Object.keys(controllers).join(", ");
    return [about("controllers").ok(`The cgroup controllers ${names} are available.`)];
  }
  return lacking.map(([name, loss]) =>
    about("controllers").warning(
      `The cgroup controller ${name} is not available: ${loss}.`,
      name === "memory"
        ? "Boot with cgroup_enable=memory on the kernel's command line."
        : `Use a kernel with the controller ${name}, and check that no program disabled it in the root cgroup.`,
    ),
  );
}
