/** The log of a booted system: Debian as it is installed, with a login prompt on its console. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../tools/command";
import { debianImage } from "../../tools/images/images";
import { megabytes } from "../support/task";
import { type Fixture, useFixture } from "./fixture";

const BOOT_MS = 60_000;

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

/** The Debian tree with the units that the tests' image masks. */
let stock = "";
beforeAll(async () => {
  stock = await mkdtemp("/var/tmp/console-test-");
  await run(["cp", "-a", `${await debianImage()}/.`, stock]);
  for (const unit of ["console-getty.service", "getty.target"]) await rm(join(stock, "etc/systemd/system", unit));
});
afterAll(async () => {
  await rm(stock, { recursive: true });
});

/** Boots the system, asks systemd about units, and returns its answer and the whole log. */
async function booted(script: string, more: Readonly<Record<string, unknown>>) {
  const config = { image: stock, network_veth: false, volatile: "overlay", ...more };
  const task = await bench.started({ config, resources: megabytes(512) });
  // A getty resets the console when it starts, so that what PID 1 has just written there can be lost.
  await task.stdout.waitFor(/Multi-User|login: /, BOOT_MS);
  const { stdout } = await bench.client().execTask(task.id, ["/bin/sh", "-c", script]);
  await bench.client().stopTask(task.id, { timeout: BOOT_MS });
  await bench.client().waitTask(task.id);
  await bench.client().destroyTask(task.id);
  return { answer: Buffer.from(stdout).toString(), log: await task.stdout.ended() };
}

const STATE =
  "systemctl is-system-running --wait; systemctl is-active console-getty.service; systemctl --failed --no-legend";

test.each([
  ["a user namespace", {}],
  ["no user namespace", { user_namespacing: false }],
])(
  "a stock system has no login prompt and no escape sequence in its log, with %s",
  async (_case, more) => {
    const { answer, log } = await booted(STATE, more);
    expect(answer).toBe("running\ninactive\n");
    expect(log).not.toContain("login:");
    expect(
      log
        .split("\x1b")
        .slice(1)
        .map((text) => text.slice(0, 12)),
    ).toEqual([]);
  },
  150_000,
);

test("with a console that the job chose it has its prompt", async () => {
  const { answer } = await booted(STATE, { console: "read-only" });
  expect(answer).toBe("running\nactive\n");
}, 150_000);
