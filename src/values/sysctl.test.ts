import { expect, test } from "bun:test";
import { matchesPattern, parseSysctl } from "./sysctl";

test.each([
  ["net.core.somaxconn", "net.core.somaxconn", "net/core/somaxconn", "net"],
  ["net/core/somaxconn", "net.core.somaxconn", "net/core/somaxconn", "net"],
  [
    "net.ipv4.conf.eth0/100.forwarding",
    "net.ipv4.conf.eth0/100.forwarding",
    "net/ipv4/conf/eth0.100/forwarding",
    "net",
  ],
  [
    "net/ipv4/conf/eth0.100/forwarding",
    "net.ipv4.conf.eth0/100.forwarding",
    "net/ipv4/conf/eth0.100/forwarding",
    "net",
  ],
  ["kernel.shmmax", "kernel.shmmax", "kernel/shmmax", "ipc"],
  ["kernel.sem", "kernel.sem", "kernel/sem", "ipc"],
  ["kernel/msgmnb", "kernel.msgmnb", "kernel/msgmnb", "ipc"],
  ["fs.mqueue.msg_max", "fs.mqueue.msg_max", "fs/mqueue/msg_max", "ipc"],
])("%s is %s", (text, name, path, namespace) => {
  expect(parseSysctl(text)).toEqual({ name, path, namespace: namespace === "net" ? "net" : "ipc" });
});

test.each([
  "",
  "net",
  "net.",
  "net..core",
  "net/../kernel/core_pattern",
  "net/./core",
  "net/core\n",
  "/net/core/somaxconn",
  "net.core.some maxconn",
  "net.ipv4./.x",
  "net.ipv4.//.x",
  `net.${"a".repeat(65)}`,
])("%j is no name", (text) => expect(parseSysctl(text)).toContain("its name must be"));

test.each(["kernel.core_pattern", "kernel.semx", "vm.swappiness", "fs.mqueue", "kernel.shm", "fs.file-max", "netx.y"])(
  "%s is a setting of the whole client",
  (text) => expect(parseSysctl(text)).toContain("whole client"),
);

test.each([
  ["net.core.somaxconn", "net.*", true],
  ["net.core.somaxconn", "*", true],
  ["net.core.somaxconn", "net.core.somaxconn", true],
  ["net.core.somaxconn", "net.core", false],
  ["netxcore", "net.core", false],
  ["net.ipv4.tcp_rmem", "net.*.tcp_*", true],
  ["kernel.sem", "net.*", false],
])("whether %s matches %s is %p", (name, pattern, matches) => expect(matchesPattern(name, pattern)).toBe(matches));
