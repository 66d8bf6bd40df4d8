/** What the workflows of .github do: they are only seen to run on GitHub, so that each part is checked against what is in this tree. */

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import packageJson from "../package.json";
import { projectRoot } from "../tools/build/project";
import { attempt } from "../tools/command";
import { actionlint } from "../tools/setup/actionlint";
import { levels } from "./check/levels";

const directory = join(projectRoot, ".github/workflows");
const step = v.looseObject({ uses: v.optional(v.string()), run: v.optional(v.string()) });
const job = v.looseObject({
  steps: v.array(step),
  strategy: v.optional(v.object({ matrix: v.object({ include: v.array(v.object({ levels: v.string() })) }) })),
});
const workflow = v.looseObject({ jobs: v.record(v.string(), job) });

/** The words of a shell command without expansions; the quotes that this repository's workflows use are single ones. */
function words(command: string): readonly string[] {
  return [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain ?? "",
  );
}

const files = readdirSync(directory).map((name) => {
  const text = readFileSync(join(directory, name), "utf8");
  return { name, jobs: v.parse(workflow, Bun.YAML.parse(text)).jobs };
});
const named = (name: string) => {
  const found = files.find((file) => file.name === `${name}.yml`);
  if (found === undefined) throw new Error(`There is no workflow ${name}.`);
  return found;
};
const runs = files.flatMap(({ name, jobs }) =>
  Object.values(jobs).flatMap(({ steps }) =>
    steps.flatMap(({ run }) => (run === undefined ? [] : [[name, run] as const])),
  ),
);

test("actionlint has nothing to say about them", async () => {
  const { code, stdout } = await attempt([await actionlint(), "-no-color", "-shellcheck=", "-pyflakes="], {
    cwd: projectRoot,
  });
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
}, 300_000);

test.each(
  files.flatMap(({ name, jobs }) =>
    Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ uses }) => (uses === undefined ? [] : [[name, uses]]))),
  ),
)("%s uses %s, pinned by its commit", (_, uses) => {
  expect(uses).toMatch(/^[\w.-]+\/[\w.-]+@[0-9a-f]{40}$/);
});

test("check runs every level once", () => {
  const matrix = named("check").jobs["levels"]?.strategy?.matrix.include ?? [];
  const run = matrix.flatMap((entry) => words(entry.levels));
  expect(run.toSorted()).toEqual([...levels.map(({ name }) => name), "sources"].toSorted());
});

describe("what they run exists", () => {
  const bun = runs.flatMap(([name, run]) =>
    run.split("\n").flatMap((line) => (/\bbun@(\S+) (.+)$/.exec(line) === null ? [] : [[name, line] as const])),
  );
  test.each(bun)("%s: %s", (_, line) => {
    const [, version = "", rest = ""] = /\bbun@(\S+) (.+)$/.exec(line) ?? [];
    expect([packageJson.engines.bun, "latest"]).toContain(version);
    const [verb = "", ...args] = words(rest);
    if (verb === "run") expect(Object.keys(packageJson.scripts)).toContain(args[0] ?? "");
    else if (verb.endsWith(".ts")) expect(existsSync(join(projectRoot, verb))).toBe(true);
    else expect(["install", "test"]).toContain(verb);
  });
});
