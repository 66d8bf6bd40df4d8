import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CgroupLayout } from "./layout";
import { containerCgroups, parseMembership, readFigures } from "./membership";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "container-cgroups-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const hybrid: CgroupLayout = {
  kind: "hybrid",
  unified: { path: "/u", controllers: [] },
  legacy: new Map([
    ["memory", "/m"],
    ["cpu", "/c"],
    ["cpuacct", "/c"],
  ]),
};

test("finds the whole container's cgroup, not systemd-nspawn's own", () => {
  const membership = "0::/machine.slice/nomad-nspawn-web.service/supervisor\n";
  expect(containerCgroups(hybrid, membership, "web")).toEqual({
    unified: "/u/machine.slice/nomad-nspawn-web.service",
    legacy: new Map(),
  });
});

test("ignores cgroups shared with other processes", () => {
  const membership = "5:memory:/shared\n4:cpu,cpuacct:/x/web\n3:pids:/x/web\n0::/x/web\n";
  expect(containerCgroups(hybrid, membership, "web")).toEqual({
    unified: "/u/x/web",
    legacy: new Map([
      ["cpu", "/c/x/web"],
      ["cpuacct", "/c/x/web"],
    ]),
  });
});

test("figures come from the tree that has the controller; missing ones are not reported", () => {
  const [unified, memory] = [join(root, "u"), join(root, "m")];
  for (const directory of [unified, memory]) mkdirSync(directory);
  writeFileSync(join(unified, "cpu.stat"), "usage_usec 2\n");
  expect(readFigures({ unified, legacy: new Map() })).toEqual({ cpu: { usage: 2000n } });
  writeFileSync(join(memory, "memory.usage_in_bytes"), "7\n");
  expect(readFigures({ unified, legacy: new Map([["memory", memory]]) })).toEqual({
    cpu: { usage: 2000n },
    memory: { usage: 7n },
  });
  rmSync(unified, { recursive: true });
  expect(readFigures({ unified, legacy: new Map() })).toEqual({});
});

test.each([
  ["0::/a.slice/b.service\n", [{ controllers: [], path: "/a.slice/b.service" }]],
  ["4:cpu,cpuacct:/x\n", [{ controllers: ["cpu", "cpuacct"], path: "/x" }]],
  ["1:name=systemd:/\n", [{ controllers: ["name=systemd"], path: "/" }]],
  ["0::/a:b\n", [{ controllers: [], path: "/a:b" }]],
  [
    "1:name=systemd:/u\n0::/u\n",
    [
      { controllers: ["name=systemd"], path: "/u" },
      { controllers: [], path: "/u" },
    ],
  ],
  ["", []],
  ["0::\nx::/a\n0:/a\n", []],
])("%j", (text, lines) => {
  expect(parseMembership(text)).toEqual(lines);
});
