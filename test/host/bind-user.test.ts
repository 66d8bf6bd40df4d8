/** Users of the client in a container. The test adds one to the test host. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFile, chown, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { type Fixture, shell, useFixture } from "../protocol/fixture";
import { inside, sentence } from "../protocol/inside";

const USER = "bound-user";
const ID = 4242;
const HOME = `/home/${USER}`;

let bench: Fixture;
let before: readonly [passwd: string, group: string];
beforeAll(async () => {
  before = [await readFile("/etc/passwd", "utf8"), await readFile("/etc/group", "utf8")];
  await appendFile("/etc/passwd", `${USER}:x:${ID}:${ID}::${HOME}:/bin/sh\n`);
  await appendFile("/etc/group", `${USER}:x:${ID}:\n`);
  await mkdir(HOME, { recursive: true });
  await writeFile(`${HOME}/note`, "at home\n");
  await chown(HOME, ID, ID);
  await chown(`${HOME}/note`, ID, ID);
});
useFixture(
  (opened) => {
    bench = opened;
  },
  { allow_bind_users: [USER, "no-such-user"] },
);
afterAll(async () => {
  await writeFile("/etc/passwd", before[0]);
  await writeFile("/etc/group", before[1]);
  await rm(HOME, { recursive: true, force: true });
});

test("a user of the client has its home directory in the container, with an ID of its own", async () => {
  const script = `cat /run/host/home/${USER}/note; stat -c %u /run/host/home/${USER}; ls /run/host/userdb/*.user`;
  const out = await inside(bench, script, { bind_user: [USER] });
  expect(out).toMatch(/^at home\n605\d\d\n/);
  expect(out).toContain(`/run/host/userdb/${USER}.user`);
});

test.each([
  ["no-such-user", 'Option bind_user names "no-such-user", and this client has no user of that name.'],
  ["daemon", 'Option bind_user asks for "daemon", which this client does not allow'],
])("%p is refused", async (name, problem) => {
  const task = await bench.task(shell(bench.busybox, "true", { bind_user: [name] }));
  expect(await sentence(bench.start(task))).toContain(problem);
});
