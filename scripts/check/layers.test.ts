import { describe, expect, test } from "bun:test";
import { importsOf, layerProblems } from "./layers";

/** Files with nothing but these imports. */
const tree = (imports: Readonly<Record<string, readonly string[]>>) =>
  Object.entries(imports).map(([path, specifiers]) => ({
    path,
    text: specifiers.map((specifier, index) => `import { a as a${index} } from "${specifier}";`).join("\n"),
  }));

test("imports of values and types, dynamic imports and side effects are found, packages are not", () => {
  const text = [
    'import { a } from "../lib/a";',
    'import type { B } from "./b.ts";',
    "import {",
    "  c,",
    '} from "../values/c";',
    'import "../linux/d";',
    'const e = await import("../nspawn/e");',
    'export { f } from "./deep/f";',
    'import { join } from "node:path";',
    'import * as v from "valibot";',
  ].join("\n");
  expect(importsOf({ path: "task/x.ts", text })).toEqual([
    "lib/a",
    "task/b",
    "values/c",
    "linux/d",
    "nspawn/e",
    "task/deep/f",
  ]);
});

test("a tree whose imports all point down, or stay in their folder, has no problem", () => {
  const files = tree({
    "main.ts": ["./cli/run", "./runtime/runtime"],
    "cli/run.ts": ["../runtime/runtime", "./deep/help"],
    "cli/deep/help.ts": ["../../lib/errors"],
    "runtime/runtime.ts": ["../driver/services"],
    "driver/services.ts": ["../task/task", "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb"],
    "task/task.ts": ["../lib/errors"],
    "lib/errors.ts": [],
  });
  expect(layerProblems(files)).toEqual([]);
});

describe("each of these is a problem, in one sentence", () => {
  test.each([
    [
      "an import of a higher layer",
      { "linux/mount.ts": ["../task/task"], "task/task.ts": [] },
      ["linux/mount.ts imports task/task, which is in a higher layer."],
    ],
    [
      "an import of the entry point",
      { "cli/run.ts": ["../main"], "main.ts": [] },
      ["cli/run.ts imports main, which is in a higher layer."],
    ],
    ["a folder without a layer", { "helpers/a.ts": [] }, ["helpers/a.ts is in a folder that LAYERS does not name."]],
    [
      "two files of a folder that import each other",
      { "task/a.ts": ["./b"], "task/b.ts": ["./a"] },
      ["These files import each other: task/a → task/b → task/a."],
    ],
    [
      "a cycle over several files, which is reported once, from where it begins",
      { "lib/entry.ts": ["./a"], "lib/a.ts": ["./b"], "lib/b.ts": ["./c"], "lib/c.ts": ["./a"] },
      ["These files import each other: lib/a → lib/b → lib/c → lib/a."],
    ],
    [
      "Nomad's protobufs below the layers that communicate with Nomad",
      { "network/ports.ts": ["../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb"] },
      ["network/ports.ts imports Nomad's protobufs; only config, launch, task, driver, runtime, cli may."],
    ],
  ])("%s", (_, imports, expected) => {
    expect(layerProblems(tree(imports))).toEqual(expected);
  });

  test("a second file that loads functions of the C library", () => {
    const text = 'const { symbols } = dlopen("libc.so.6", {});';
    expect(layerProblems(["linux/ffi.ts", "linux/mount.ts"].map((path) => ({ path, text })))).toEqual([
      "linux/mount.ts calls dlopen; only linux/ffi.ts may.",
    ]);
  });
});
