import { expect, test } from "bun:test";
import { cgroupHierarchies } from "../../tools/machines/own-cgroups";

test("a pure v2 machine has one hierarchy", () => {
  expect(
    cgroupHierarchies("30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", "0::/user.slice/a\n"),
  ).toEqual([{ mountPoint: "/sys/fs/cgroup", own: "/sys/fs/cgroup/user.slice/a", cpuset: false }]);
});

test("a hybrid machine has one per v1 controller, the named one and v2", () => {
  const mounts = [
    "34 30 0:29 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755",
    "35 34 0:30 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset",
    "36 34 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
    "37 34 0:32 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd",
    "38 34 0:33 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
    // For a moment, while a systemd-nspawn starts.
    "39 24 0:33 / /tmp/unifiedAbCdEf rw,relatime - cgroup2 cgroup2 rw",
  ].join("\n");
  const membership = "3:cpuset:/\n2:cpu,cpuacct:/x\n1:name=systemd:/init.scope\n0::/init.scope\n";
  expect(cgroupHierarchies(mounts, membership)).toEqual([
    { mountPoint: "/sys/fs/cgroup/cpuset", own: "/sys/fs/cgroup/cpuset", cpuset: true },
    { mountPoint: "/sys/fs/cgroup/cpu,cpuacct", own: "/sys/fs/cgroup/cpu,cpuacct/x", cpuset: false },
    { mountPoint: "/sys/fs/cgroup/systemd", own: "/sys/fs/cgroup/systemd/init.scope", cpuset: false },
    { mountPoint: "/sys/fs/cgroup/unified", own: "/sys/fs/cgroup/unified/init.scope", cpuset: false },
  ]);
});
