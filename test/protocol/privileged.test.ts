/** privileged, which the operator has to allow. */

import { expect, test } from "bun:test";
import { type Fixture, openFixture, shell, useFixture } from "./fixture";
import { inside, sentence } from "./inside";

let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { allow_privileged: true, allow_caps: [] },
);

/** mknod and open of a device that no container gets (/dev/kmsg), a mount, a system call outside of systemd-nspawn's set, /proc/sys. */
const SCRIPT = [
  "grep CapEff /proc/self/status | awk '{print $2}'; cat /proc/self/uid_map | tr -s ' '",
  "mknod /tmp/k c 1 11 && dd if=/tmp/k of=/dev/null bs=1 count=0 2>/dev/null && echo device",
  "mkdir -p /tmp/m; mount -t tmpfs none /tmp/m && echo mount",
  "grep -q ' /proc/sys .*ro,' /proc/mounts || echo writable",
].join("; ");

test("a privileged container has what root on the client has", async () => {
  const shown = await inside(bench, SCRIPT, { privileged: true });
  expect(shown).toMatch(/^0*1f[ef]+\n 0 0 4294967295\ndevice\nmount\nwritable\n$/);
});

test("another one does not", async () => {
  const shown = await inside(bench, `${SCRIPT}; true`, { user_namespacing: false });
  expect(shown).toMatch(/^[0-9a-f]+\n 0 0 4294967295\n(?:mount\n)?$/);
  expect(shown).not.toContain("device");
});

test.each([
  [{ privileged: true, private_users: "pick" }, "Options privileged = true and private_users"],
  [{ privileged: true, private_users_ownership: "map" }, "needs user namespaces"],
])("%j is refused", async (more, expected) => {
  const task = await bench.task(shell(bench.busybox, "true", more));
  expect(await sentence(bench.start(task))).toContain(expected);
});

test.each([
  [{}, "Option privileged = true is not allowed on this client (allow_privileged = false)"],
  [
    { allow_privileged: true, require_user_namespacing: true },
    "Option privileged = true can give the container user IDs of the host",
  ],
])("a client with %j refuses it", async (config, expected) => {
  await using strict = await openFixture(config);
  const task = await strict.task(shell(strict.busybox, "true", { privileged: true }));
  expect(await sentence(strict.start(task))).toContain(expected);
});
