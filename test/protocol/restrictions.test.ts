/** What a command may do: ambient capabilities and address families. */

import { expect, test } from "bun:test";
import { readNspawn } from "../../src/nspawn/installation";
import { debianImage } from "../../tools/images/images";
import { startExec } from "../support/exec";
import { type Fixture, shell, useFixture } from "./fixture";
import { inside, sentence } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const RIGHTS = "grep -E '^(Uid|CapAmb|CapEff|CapBnd)' /proc/self/status | awk '{print $2}'";

test.each([
  ["another user has them, and nothing else", { user: "1000" }, /^1000\n0{12}2000\n[0-9a-f]{16}\n0{12}2000\n$/],
  [
    "also if all others are dropped",
    { user: "1000", drop_capability: ["all"] },
    /^1000\n0{12}2000\n0{12}2000\n0{12}2000\n$/,
  ],
  [
    "also without new privileges",
    { user: "1000", no_new_privileges: true },
    /^1000\n0{12}2000\n[0-9a-f]{16}\n0{12}2000\n$/,
  ],
  ["beside an init", { user: "1000", process_two: true }, /^1000\n0{12}2000\n[0-9a-f]{16}\n0{12}2000\n$/],
  ["root", {}, /^0\n[0-9a-f]{16}\n[0-9a-f]{16}\n0{12}2000\n$/],
])("ambient capabilities: %s", async (_case, more, shown) => {
  expect(await inside(bench, RIGHTS, { ambient_capability: ["net_raw"], ...more })).toMatch(shown);
});

const NONE = "0".repeat(16);

test.each([
  [{ user: "1000" }, `1000 ${NONE} ${NONE}`],
  [{ user: "1000", drop_capability: ["all"] }, `1000 ${NONE} ${NONE}`],
  [{ user: "10001:10001", drop_capability: ["all"], no_new_privileges: true }, `10001 ${NONE} ${NONE}`],
  // Root gets what it inherits, whatever its bounding set is.
  [{ user: "0:2000", drop_capability: ["all"] }, `0 ${NONE} ${NONE}`],
  [{ user: "0:2000", drop_capability: ["CAP_SETUID"] }, /^0 0{16} [0-9a-f]{14}7f$/],
])("no capability is inherited beyond the bounding set: %j", async (more, shown) => {
  const ids = "grep -E '^(Uid|CapInh|CapPrm)' /proc/$1/status | awk '{print $2}' | xargs echo";
  const task = await bench.started(shell(bench.busybox, "sleep 1000", more));
  const inside = async (script: string) => {
    const running = await startExec(bench.client(), task.id, ["/bin/sh", "-c", script, "sh", "self"]);
    return (await running.ended).stdout.trim();
  };
  // The task, and a command in its container.
  const started = await inside(ids.replace("$1", "$(pidof sleep)"));
  const entered = await inside(ids);
  for (const found of [started, entered]) {
    if (typeof shown === "string") expect(found).toBe(shown);
    else expect(found).toMatch(shown);
  }
  await bench.client().destroyTask(task.id, true);
});

test("root that would keep inherited capabilities, because its job forbids what drops them, does not start", async () => {
  const more = { user: "0:2000", drop_capability: ["all"], system_call_filter: ["~@ipc"] };
  const task = await bench.started(shell(bench.busybox, "exit 0", more));
  expect((await bench.client().waitTask(task.id)).result?.exitCode).not.toBe(0);
  expect(await task.stderr.ended()).toContain("system_call_filter has to allow @ipc and capset.");
  await bench.client().destroyTask(task.id, true);
});

/** Makes a socket of each family, and says which could be made. */
const SOCKETS =
  'use Socket; for ([unix => 1], [inet => 2], [inet6 => 10], [netlink => 16]) { print "$_->[0] " if socket(my $s, $_->[1], $_->[1] == 16 ? 3 : 1, 0) } print "\\n"';

test.each([
  [["AF_UNIX", "AF_INET"], "unix inet \n"],
  [["~AF_NETLINK", "~AF_INET6"], "unix inet \n"],
  [["none"], "\n"],
  [[], "unix inet inet6 netlink \n"],
])("address families: %j", async (restrict_address_families, shown) => {
  const image = await debianImage();
  for (const more of [{}, { user: "daemon" }]) {
    const options = { image, restrict_address_families, command: ["perl", "-e", SOCKETS], ...more };
    expect(await inside(bench, "", options)).toBe(shown);
  }
});

test("a command in the container is restricted in the same way", async () => {
  const config = { image: await debianImage(), restrict_address_families: ["AF_UNIX"] };
  const task = await bench.started(shell(bench.busybox, "sleep 1000", config));
  const running = await startExec(bench.client(), task.id, ["perl", "-e", SOCKETS]);
  expect((await running.ended).stdout).toBe("unix \n");
  await bench.client().destroyTask(task.id, true);
});

test("what this client's systemd-nspawn cannot restrict is refused", async () => {
  const more = {
    image: await debianImage(),
    process_two: true,
    restrict_address_families: ["AF_UNIX"],
    command: ["perl", "-e", SOCKETS],
  };
  if (((await readNspawn())?.version ?? 0) >= 261) {
    expect(await inside(bench, "", more)).toBe("unix \n");
    return;
  }
  const task = await bench.task(shell(bench.busybox, "true", more));
  expect(await sentence(bench.start(task))).toContain("process_two = true needs systemd-nspawn 261 or later");
});

test.each([
  [{ restrict_address_families: ["AF_UNIX", "~AF_INET"] }, 'either all of its entries have a "~", or none'],
  [{ restrict_address_families: ["AF_NONSENSE"] }, "it must be an address family"],
  [{ restrict_address_families: ["none"], drop_capability: ["all"] }, "needs no_new_privileges = true"],
  [{ ambient_capability: ["all"] }, '"all" cannot be ambient'],
  [
    { ambient_capability: ["CAP_KILL"], drop_capability: ["CAP_KILL"] },
    "Options ambient_capability and drop_capability both name",
  ],
  [{ ambient_capability: ["CAP_KILL"], boot: true }, "Options boot = true and ambient_capability"],
  [{ selinux_context: "u:r:t:s0" }, "its kernel does not use SELinux"],
  [{ apparmor_profile: "x" }, "its kernel does not use AppArmor"],
])("%j is refused", async (more, expected) => {
  const task = await bench.task(shell(bench.busybox, "true", more));
  expect(await sentence(bench.start(task))).toContain(expected);
});
