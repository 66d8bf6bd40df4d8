/** A persistent root that is made from a directory once. In a test host: it is in /var/lib/machines. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { copyTree, type Fixture, shell, useFixture } from "../protocol/fixture";
import { inside, sentence } from "../protocol/inside";
import { keepMachines } from "../support/download-site";

let bench: Fixture;
let template = "";
let machines: AsyncDisposable;
useFixture((opened) => {
  bench = opened;
});
beforeAll(async () => {
  machines = await keepMachines();
  template = await copyTree(bench.busybox, join(bench.scratch, "template"));
  await writeFile(join(template, "origin"), "template\n");
});
afterAll(() => machines[Symbol.asyncDispose]());

const config = (image: string, more: object = {}) => ({ image, template, volatile: "no", ...more });

test("is a copy, in which changes of a task are there for the next one, and which the template does not have", async () => {
  const script = "cat /origin; cat /count; echo x >> /count";
  expect(await inside(bench, `${script}; true`, config("kept-1"))).toBe("template\n");
  await writeFile(join(template, "origin"), "changed\n");
  expect(await inside(bench, script, config("kept-1"))).toBe("template\nx\n");
  expect(existsSync(join(template, "count"))).toBe(false);
  expect(existsSync("/var/lib/machines/kept-1/count")).toBe(true);
  expect(readdirSync("/var/lib/machines").filter((name) => name.startsWith(".#nomad"))).toEqual([]);
});

test("tasks that start at once get one copy each by their names", async () => {
  const names = ["kept-2", "kept-3"];
  const said = await Promise.all(names.map((name) => inside(bench, "cat /origin", config(name))));
  expect(said).toEqual(["changed\n", "changed\n"]);
});

test.each([
  ["/srv/kept", {}, "Option template needs an image that is a name"],
  ["kept-4", { template: "/nowhere" }, 'image "/nowhere" not found'],
  ["kept-4", { template: "/etc/passwd" }, "which is not a directory"],
  ["kept-4", { ephemeral: true }, "Options template and ephemeral = true exclude each other"],
])("image = %p with %j is refused", async (image, more, problem) => {
  const task = await bench.task(shell(bench.busybox, "true", config(image, more)));
  expect(await sentence(bench.start(task))).toContain(problem);
  expect(existsSync("/var/lib/machines/kept-4")).toBe(false);
});

test("what cannot be copied leaves nothing", async () => {
  const broken = join(bench.scratch, "template-without-os");
  await copyTree(bench.busybox, broken);
  const task = await bench.task(shell(bench.busybox, "true", config("kept-5", { template: join(broken, "nothing") })));
  expect(await sentence(bench.start(task))).toContain("not found");
  expect(readdirSync("/var/lib/machines").filter((name) => name.includes("kept-5"))).toEqual([]);
});
