import { describe, expect, test } from "bun:test";
import { parseMounts } from "../mount";
import { cgroupLayout, readCgroupLayout } from "./layout";
import { planLimits, sharesOfWeight } from "./limits";
import { parseOomKills } from "./oom";

const V2 = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
const UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
const MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
const CPU = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
const CPUSET = "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset";
const PIDS = "36 31 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids";
const SYSTEMD = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd";

const layout = (lines: readonly string[], controllers = "") =>
  cgroupLayout(parseMounts(lines.join("\n")), () => controllers);

describe("cgroupLayout", () => {
  test("v2", () =>
    expect(layout([V2], "cpuset cpu memory\n")).toEqual({
      kind: "v2",
      unified: { path: "/sys/fs/cgroup", controllers: ["cpuset", "cpu", "memory"] },
      legacy: new Map(),
    }));

  test("hybrid: controllers in v1 trees", () =>
    expect(layout([UNIFIED, MEMORY, CPU, SYSTEMD], "hugetlb\n")).toEqual({
      kind: "hybrid",
      unified: { path: "/sys/fs/cgroup/unified", controllers: ["hugetlb"] },
      legacy: new Map([
        ["memory", "/sys/fs/cgroup/memory"],
        ["cpu", "/sys/fs/cgroup/cpu,cpuacct"],
        ["cpuacct", "/sys/fs/cgroup/cpu,cpuacct"],
        ["name=systemd", "/sys/fs/cgroup/systemd"],
      ]),
    }));

  test("v1, and no cgroups at all", () => {
    expect(layout([MEMORY])).toEqual({ kind: "v1", legacy: new Map([["memory", "/sys/fs/cgroup/memory"]]) });
    expect(layout([])).toEqual({ kind: "none", legacy: new Map() });
  });

  test("this host's layout is a known one", () =>
    expect(["v1", "v2", "hybrid", "none"]).toContain(readCgroupLayout().kind));
});

describe("planLimits", () => {
  const limits = {
    memoryMax: 64 << 20,
    memoryLow: 32 << 20,
    cpuWeight: 50,
    cpuQuota: 1.5,
    pids: 7,
    cpus: "0-1",
  };
  const files = (lines: readonly string[], controllers = "") => {
    const { writes, missing } = planLimits(limits, layout(lines, controllers));
    return [...writes.map(({ file, value }) => `${file}=${value}`), ...missing.map(({ meaning }) => `no ${meaning}`)];
  };
  const v2 = [
    "memory.max=67108864",
    "memory.swap.max=0",
    "memory.low=33554432",
    "cpu.weight=50",
    "cpu.max=150000 100000",
    "pids.max=7",
    "cpuset.cpus=0-1",
  ];
  const v1 = [
    "memory.limit_in_bytes=67108864",
    "memory.memsw.limit_in_bytes=67108864",
    "memory.soft_limit_in_bytes=33554432",
    "cpu.shares=512",
    "cpu.cfs_quota_us=150000",
    "pids.max=7",
    "cpuset.cpus=0-1",
  ];

  test.each([
    ["v2", [V2], "cpuset cpu memory pids", v2],
    ["v1", [MEMORY, CPU, CPUSET, PIDS], "", v1],
    ["hybrid with everything in v1", [UNIFIED, MEMORY, CPU, CPUSET, PIDS], "hugetlb", v1],
    ["hybrid with cpu in v2", [UNIFIED, MEMORY], "cpu", [...v1.slice(0, 3), v2[3], v2[4], "no processes", "no cores"]],
    [
      "nothing",
      [],
      "",
      ["no memory", "no reserved memory", "no cpu weight", "no cpu time", "no processes", "no cores"],
    ],
  ] as const)("%s", (_, lines, controllers, expected) =>
    expect(files(lines, controllers).map(String)).toEqual(expected.map(String)),
  );

  test("an absent limit writes nothing", () => expect(planLimits({}, layout([V2], "memory")).writes).toEqual([]));
});

test("sharesOfWeight", () => {
  expect([1, 100, 10_000].map(sharesOfWeight)).toEqual([10, 1024, 102_400]);
});

test("parseOomKills reads both versions' files", () => {
  expect(parseOomKills("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n")).toBe(2);
  expect(parseOomKills("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")).toBe(1);
  expect(parseOomKills("oom_kill_disable 0\nunder_oom 0\n")).toBe(0);
});
