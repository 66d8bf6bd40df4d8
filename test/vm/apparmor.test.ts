/** AppArmor: this machine's kernel has it, that of the others does not. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { driverBinary } from "../../tools/build/project";
import { attempt, run } from "../../tools/command";
import { copyTree, type Fixture, shell, useFixture } from "../protocol/fixture";
import { sentence } from "../protocol/inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const NAME = "nomad-vm-test";
const PROFILE = `profile ${NAME} flags=(attach_disconnected,mediate_deleted) {
  capability,
  dbus,
  file,
  mount,
  network,
  ptrace,
  signal,
  umount,
  unix,
  deny /srv/secret r,
}
`;
let directory = "";
let profile = "";
let image = "";
beforeAll(async () => {
  directory = await mkdtemp("/var/tmp/apparmor-");
  profile = join(directory, "profile");
  await writeFile(profile, PROFILE);
  await run(["apparmor_parser", "--replace", "--skip-cache", profile]);
  image = await copyTree(bench.busybox, join(directory, "tree"));
  await run(["mkdir", "--parents", join(image, "srv")]);
  for (const name of ["secret", "other"]) await writeFile(join(image, "srv", name), `${name}\n`);
}, 120_000);
afterAll(async () => {
  await run(["apparmor_parser", "--remove", profile]);
  await rm(directory, { recursive: true });
});

const confined = (script: string, more: object = {}) => shell(image, script, { apparmor_profile: NAME, ...more });
const look = "cat /proc/self/attr/current /srv/other; cat /srv/secret";

test.each([
  ["root", {}],
  ["another user that may gain nothing", { user: "app", no_new_privileges: true }],
])(
  "a command of %s runs under its profile",
  async (_, more) => {
    const { stdout, stderr } = await bench.finished(confined(look, more));
    expect(stdout).toBe(`${NAME} (enforce)\nother\n`);
    expect(stderr).toContain("'/srv/secret': Permission denied");
  },
  120_000,
);

test("a command of alloc exec runs under the profile of its task, whatever the task mounts over /proc", async () => {
  const script =
    "echo up; until test -e /local/go; do sleep 0.2; done; mount -t tmpfs none /proc && echo hidden; sleep 600";
  const task = await bench.started(confined(script, { capability: ["CAP_SYS_ADMIN"] }));
  await task.stdout.waitFor("up\n");
  const shown = async (...command: readonly string[]) => await bench.client().execTask(task.id, [...command]);
  expect(String((await shown("/bin/cat", "/proc/self/attr/current")).stdout)).toBe(`${NAME} (enforce)\n`);
  await shown("/bin/touch", "/local/go");
  await task.stdout.waitFor("hidden\n");
  const denied = await shown("/bin/cat", "/srv/secret");
  expect(String(denied.stderr)).toContain("Permission denied");
  const own = await attempt([driverBinary(), "exec", "--", task.config.name, "/bin/cat", "/srv/secret"]);
  expect(own.code).not.toBe(0);
}, 240_000);

test("a task without a profile is not confined, and one with an unknown profile is refused", async () => {
  expect((await bench.finished(shell(image, "cat /srv/secret"))).stdout).toBe("secret\n");
  const task = await bench.task(confined("true", { apparmor_profile: "missing" }));
  expect(await sentence(bench.start(task))).toContain("missing");
}, 120_000);
