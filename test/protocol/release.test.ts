import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readlink, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { PreparedTask } from "../support/task";
import { type Fixture, shell, useFixture } from "./fixture";
import { sentence } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const records = "/run/nomad-driver-nspawn/network";
const owners = "/run/nomad-driver-nspawn/owners";

async function connected(): Promise<PreparedTask> {
  const task = await bench.started(shell(bench.busybox, "echo up; sleep 1000", { network_veth: true }));
  await task.stdout.waitFor("up");
  return task;
}

/** The only existing network record. */
async function recordFile(): Promise<string> {
  const names = (await readdir(records)).filter((name) => name.endsWith(".json"));
  expect(names).toHaveLength(1);
  return join(records, names[0] ?? "");
}

test.each(["{", "", "[]", "null", '{"machine":7}', "\u0000\u0000", "x".repeat(1_000_000)])(
  "a network record that cannot be read is removed with its task (%j)",
  async (text) => {
    const task = await connected();
    const path = await recordFile();
    await writeFile(path, text);
    await bench.client().destroyTask(task.id, true);
    expect(existsSync(path)).toBe(false);
    expect(existsSync(owners)).toBe(false);
    expect(bench.plugin().logs.map((line) => line["@message"])).toContain(
      "cannot read the record of a container's network",
    );
  },
);

test("a task whose network record cannot be read is recovered, and destroyed", async () => {
  const task = await bench.task(shell(bench.busybox, "echo up; sleep 1000", { network_veth: true }));
  const handle = await bench.start(task);
  await task.stdout.waitFor("up");
  await writeFile(await recordFile(), "{");
  await bench.replacePlugin();
  await bench.client().recoverTask(handle);
  expect((await bench.client().inspectTask(task.id)).task?.id).toBe(task.id);
  await bench.client().destroyTask(task.id, true);
  expect(existsSync(records)).toBe(false);
});

test("resources that could not be released keep their owner record, and are released by a retry", async () => {
  const task = await connected();
  const path = await recordFile();
  const kept = join(bench.scratch, "record");
  await copyFile(path, kept);
  await rm(path);
  await mkdir(join(path, "in-the-way"), { recursive: true });
  expect(await sentence(bench.client().destroyTask(task.id, true))).not.toBe("");
  const [machine = ""] = await readdir(owners);
  expect(await readlink(join(owners, machine))).toBe(dirname(task.config.allocDir));
  expect(existsSync(join(dirname(owners), "files", machine))).toBe(false);
  await rm(path, { recursive: true });
  await copyFile(kept, path);
  await bench.client().destroyTask(task.id, true);
  expect(existsSync(owners)).toBe(false);
});
