import { expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../tools/command";
import { differences, hostState } from "../../tools/leftovers";

test("a directory and a mount that appear are named, and no longer when they are gone", async () => {
  const before = await hostState();
  const directory = await mkdtemp(join(tmpdir(), "nspawn-leftover-"));
  try {
    await run(["mount", "-t", "tmpfs", "tmpfs", directory]);
    const left = differences(before, await hostState());
    expect(left).toContain(`The file ${directory} was left.`);
    expect(left).toContain(`The mount / on ${directory} was left.`);
  } finally {
    await run(["umount", directory]);
    await rm(directory, { recursive: true });
  }
  const after = differences(before, await hostState());
  expect(after.filter((sentence) => sentence.includes(directory))).toEqual([]);
});

test("the settings file of a machine is named", async () => {
  const directory = "/run/systemd/nspawn";
  const before = await hostState();
  const settings = join(directory, `leftover-${crypto.randomUUID()}.nspawn`);
  await mkdir(directory, { recursive: true });
  await writeFile(settings, "[Exec]\n");
  try {
    expect(differences(before, await hostState())).toContain(`The file ${settings} was left.`);
  } finally {
    await rm(settings);
  }
});
