import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CgroupLayout } from "../linux/cgroup/layout";
import { ContainerGoneError } from "./container";
import { createSessionCgroup, sessionCgroup } from "./session-cgroup";

const v2: CgroupLayout = {
  kind: "v2",
  unified: { path: "/sys/fs/cgroup", controllers: ["memory"] },
  legacy: new Map(),
};
const hybrid: CgroupLayout = {
  kind: "hybrid",
  unified: { path: "/sys/fs/cgroup/unified", controllers: [] },
  legacy: new Map([
    ["memory", "/sys/fs/cgroup/memory"],
    ["cpu", "/sys/fs/cgroup/cpu"],
    ["name=systemd", "/sys/fs/cgroup/systemd"],
  ]),
};

test("on cgroup v2, a separate leaf below the container's delegated cgroup", () => {
  const unit = "/sys/fs/cgroup/machine.slice/nomad-nspawn-a.service";
  const own = [`${unit}/payload/exec`];
  expect(sessionCgroup(v2, "0::/machine.slice/nomad-nspawn-a.service/payload\n", "exec")).toEqual({ join: own, own });
  expect(sessionCgroup(v2, "0::/machine.slice/nomad-nspawn-a.service/payload/init.scope\n", "exec")).toEqual({
    join: own,
    own,
  });
});

test("without systemd-nspawn's own cgroup, directly below the container's", () => {
  expect(sessionCgroup(v2, "0::/somewhere\n", "exec").own).toEqual(["/sys/fs/cgroup/somewhere/exec"]);
});

test("with v1 trees, it shares the container's limits, and has a separate cgroup in trees without limits", () => {
  const membership =
    "9:name=systemd:/u/payload/init.scope\n4:memory:/u\n3:net_cls:/\n1:cpu,cpuacct:/u\n0::/u/payload\n";
  expect(sessionCgroup(hybrid, membership, "exec")).toEqual({
    join: [
      "/sys/fs/cgroup/systemd/u/payload/exec",
      "/sys/fs/cgroup/memory/u",
      "/sys/fs/cgroup/cpu/u",
      "/sys/fs/cgroup/unified/u/payload/exec",
    ],
    own: ["/sys/fs/cgroup/systemd/u/payload/exec", "/sys/fs/cgroup/unified/u/payload/exec"],
  });
});

test("if the container's cgroup is gone, so is the container; cgroups created already are removed", () => {
  const directory = mkdtempSync(join(tmpdir(), "session-cgroup-"));
  try {
    const own = [join(directory, "exec"), join(directory, "gone/exec")];
    expect(() => createSessionCgroup({ join: own, own })).toThrow(ContainerGoneError);
    expect(readdirSync(directory)).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
