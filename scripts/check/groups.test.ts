import { expect, test } from "bun:test";
import { groupsOf } from "./groups";
import { type Level, levels, pathsOf } from "./levels";

const level = (name: string, more: Partial<Level> = {}): Level => ({
  name,
  paths: [],
  place: "host",
  seconds: 1,
  ...more,
});

test("levels of one machine stay together and in order; those that take longest together come first", () => {
  const groups = groupsOf([
    level("unit", { place: "machine", seconds: 5 }),
    level("registry", { seconds: 3 }),
    level("sid", { suite: "sid", seconds: 6 }),
    level("nomad", { host: "with agents", seconds: 4 }),
    level("host", { seconds: 5 }),
    level("vm", { place: "vm", seconds: 2 }),
    level("install", { place: "machine", host: "with bare hosts", seconds: 1 }),
  ]);
  expect(groups.map(({ name, levels: inside }) => [name, ...inside.map((each) => each.name)])).toEqual([
    ["test host trixie", "registry", "host"],
    ["test host sid", "sid"],
    ["this machine", "unit"],
    ["test host trixie with agents", "nomad"],
    ["virtual machine", "vm"],
    ["this machine with bare hosts", "install"],
  ]);
});

test("files that a level leaves out exist, and another level runs them", () => {
  const run = (each: Level) => pathsOf(each).flatMap((path) => (path.endsWith(".ts") ? [path] : [`${path}/`]));
  for (const each of levels) {
    for (const file of each.without ?? []) {
      expect(run(each)).not.toContain(file);
      const elsewhere = levels.filter((other) => run(other).some((path) => path === file || file.startsWith(path)));
      expect(elsewhere).not.toEqual([]);
    }
  }
});

test("a level cannot leave out what it does not have", () => {
  const wrong = level("wrong", { paths: ["test/wire"], without: ["test/wire/gone.test.ts"] });
  expect(() => pathsOf(wrong)).toThrow("test/wire/gone.test.ts is left out of a level, but does not exist.");
});
