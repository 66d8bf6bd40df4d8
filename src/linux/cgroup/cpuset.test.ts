import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { effectiveCpus, watchCpus } from "./cpuset";

describe("effectiveCpus", () => {
  test.each([
    ["cgroup v2", { "cpuset.cpus.effective": "0-3\n", "cpuset.cpus": "" }, "0-3"],
    ["cgroup v1", { "cpuset.effective_cpus": "1\n", "cpuset.cpus": "1-2\n" }, "1"],
    ["v1 of an old kernel", { "cpuset.cpus": "1,3\n" }, "1,3"],
    ["v2 whose parent has no CPUs", { "cpuset.cpus.effective": "\n" }, undefined],
    ["a cgroup that is gone", {}, undefined],
  ] as const)("%s", (_, files, expected) => {
    const content: Readonly<Record<string, string | undefined>> = files;
    expect(effectiveCpus((name) => content[name])).toBe(expected);
  });
});

describe("watchCpus", () => {
  test("reports a difference at once, and each change", async () => {
    const directory = mkdtempSync(join(tmpdir(), "cpuset-"));
    const file = join(directory, "cpuset.cpus");
    writeFileSync(file, "0-1\n");
    const seen: string[] = [];
    const next = Promise.withResolvers<void>();
    const stop = watchCpus(directory, undefined, (cpus) => {
      seen.push(cpus);
      if (cpus === "1") next.resolve();
    });
    expect(seen).toEqual(["0-1"]);
    writeFileSync(file, "1\n");
    await next.promise;
    stop();
    writeFileSync(file, "0\n");
    expect(seen).toEqual(["0-1", "1"]);
    rmSync(directory, { recursive: true });
  });

  test("reports nothing that is known already, nor a cgroup that is gone", () => {
    const directory = mkdtempSync(join(tmpdir(), "cpuset-"));
    writeFileSync(join(directory, "cpuset.cpus"), "0-1\n");
    const refuse = () => {
      throw new Error("no change was expected");
    };
    watchCpus(directory, "0-1", refuse)();
    watchCpus(join(directory, "gone"), undefined, refuse)();
    rmSync(directory, { recursive: true });
  });
});
