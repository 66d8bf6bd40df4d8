import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { walkCgroups } from "./walk";

test("walks deeper than a path can be long, and can remove cgroups on the way back", async () => {
  const top = mkdtempSync(join(tmpdir(), "walk-"));
  const script = "for i in $(seq 60); do mkdir $1 side && cd -P $1 || exit 1; done";
  const made = Bun.spawnSync(["sh", "-c", script, "sh", "n".repeat(200)], { cwd: top });
  expect(made.exitCode).toBe(0);
  let seen = 0;
  await walkCgroups(top, {
    at: () => {
      seen += 1;
    },
  });
  expect(seen).toBe(121);
  await walkCgroups(top, { leave: (directory) => rmdirSync(directory) });
  expect(readdirSync(top)).toEqual([]);
  rmdirSync(top);
});

test("visits many siblings, each once, and yields in between", async () => {
  const top = mkdtempSync(join(tmpdir(), "walk-"));
  for (let index = 0; index < 3000; index += 1) mkdirSync(join(top, String(index)));
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  const left: string[] = [];
  await walkCgroups(top, {
    leave: (directory) => {
      left.push(directory);
      rmdirSync(directory);
    },
  });
  clearInterval(timer);
  expect(left).toHaveLength(3000);
  expect(turns).toBeGreaterThan(0);
  rmdirSync(top);
});

test("a missing cgroup is skipped", async () => {
  await walkCgroups("/no/such/cgroup", {
    at: () => {
      throw new Error("a cgroup was visited");
    },
  });
});
