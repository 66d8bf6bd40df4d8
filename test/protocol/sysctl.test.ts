/** The option sysctl: kernel settings in the namespaces of a container. */

import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { debianImage } from "../../tools/images/images";
import { startExec } from "../support/exec";
import { type Fixture, openFixture, shell, useFixture } from "./fixture";
import { inside, sentence } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const BOOT_MS = 60_000;
const NAMES = [
  "net/core/somaxconn",
  "net/ipv4/ip_local_port_range",
  "kernel/shmmax",
  "kernel/sem",
  "fs/mqueue/msg_max",
];
const SHOW = `cd /proc/sys; cat ${NAMES.join(" ")}`;
const sysctl = {
  "net.core.somaxconn": 1025,
  "net/ipv4/ip_local_port_range": "20000 30000",
  "kernel.shmmax": "1073741824",
  "kernel.sem": "100 3200 32 12",
  "fs.mqueue.msg_max": "11",
};
const SET = "1025\n20000\t30000\n1073741824\n100\t3200\t32\t12\n11\n";

test.each([
  ["in a private network", { network_veth: true }],
  ["without a user namespace", { network_veth: true, user_namespacing: false }],
  ["with loopback only", { network: "none", network_veth: true }],
  ["beside an init", { network_veth: true, process_two: true }],
  ["as another user", { network_veth: true, user: "1000" }],
])("are set before the program runs: %s", async (_case, more) => {
  const host = await Promise.all(NAMES.map((name) => readFile(`/proc/sys/${name}`, "utf8")));
  expect(await inside(bench, SHOW, { sysctl, ...more })).toBe(SET);
  expect(await Promise.all(NAMES.map((name) => readFile(`/proc/sys/${name}`, "utf8")))).toEqual(host);
});

test("are set for a system that boots, and again when it reboots", async () => {
  const more = { network: "none", network_veth: true, sysctl: { "kernel.shmmax": "4096", "net.core.somaxconn": "7" } };
  const task = await bench.task({ config: { image: await debianImage(), volatile: "overlay", ...more } });
  const handle = await bench.start(task);
  const values = async () => {
    const command = ["cat", "/proc/sys/kernel/shmmax", "/proc/sys/net/core/somaxconn"];
    const running = await startExec(bench.client(), task.id, command);
    return (await running.ended).stdout;
  };
  await task.stdout.waitFor("Multi-User", BOOT_MS);
  expect(await values()).toBe("4096\n7\n");
  await bench.replacePlugin();
  await bench.client().recoverTask(handle);
  await bench.client().signalTask(task.id, "SIGRTMIN+5");
  await task.stdout.waitFor(/Multi-User[\s\S]*Reached target[^\n]*Multi-User/, BOOT_MS);
  expect(await values()).toBe("4096\n7\n");
  await bench.client().stopTask(task.id, { timeout: BOOT_MS });
}, 150_000);

test.each([
  [
    "the client's network",
    { sysctl: { "net.core.somaxconn": "1" } },
    'Option sysctl sets "net.core.somaxconn", which would be the client\'s own',
  ],
  ["a setting of the client", { sysctl: { "kernel.core_pattern": "|/x" } }, "it is a setting of the whole client"],
  [
    "a path that leads elsewhere",
    { sysctl: { "net/../kernel/core_pattern": "x" } },
    "its name must be that of a kernel setting",
  ],
  ["a line end", { sysctl: { "net.core.somaxconn": "1\n2" } }, "it must be one line"],
  ["one setting twice", { sysctl: { "kernel.sem": "1", "kernel/sem": "2" } }, 'Option sysctl sets "kernel.sem" twice'],
  [
    "a setting that the kernel lacks",
    { sysctl: { "net.core.nonsense": "1" }, network: "none", network_veth: true },
    'Option sysctl["net.core.nonsense"] = "1" cannot be set: the kernel of this client has no such setting in a container.',
  ],
  [
    "a value that the kernel refuses",
    { sysctl: { "kernel.shmmax": "many" } },
    'Option sysctl["kernel.shmmax"] = "many" cannot be set: the kernel refuses this value.',
  ],
])("%s is refused", async (_case, more, expected) => {
  const task = await bench.task(shell(bench.busybox, "sleep 60", more));
  expect(await sentence(bench.start(task))).toContain(expected);
});

test("the operator limits them", async () => {
  await using strict = await openFixture({ allow_sysctls: ["net.core.*"] });
  const task = await strict.task(shell(strict.busybox, "true", { sysctl: { "kernel.shmmax": "4096" } }));
  expect(await sentence(strict.start(task))).toBe(
    'Option sysctl asks for "kernel.shmmax", which this client does not allow: allow_sysctls of the plugin\'s config allows "net.core.*".',
  );
});
