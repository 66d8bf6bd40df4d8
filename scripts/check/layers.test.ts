import { describe, expect, test } from "bun:test";
import { projectRoot } from "../../tools/build/project";
import { checkLayers, folderProblems, importsOf, layerProblems, type SourceFile } from "./layers";

const COMMENT = "/**\n * What lives here.\n *\n * And its terms.\n */\n\n";

/** The problems of files given by path and text; each folder has a module comment unless `bare`. */
function problemsOf(texts: Readonly<Record<string, string>>, { bare = false } = {}): readonly string[] {
  const files = Object.entries(texts).map(([path, text]): SourceFile => ({ path, text: bare ? text : COMMENT + text }));
  return layerProblems(files);
}

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

describe("the layer check", () => {
  test.each([
    ["an import downward", { "image/store/a.ts": 'import { b } from "../../lib/b";', "lib/b.ts": "" }, []],
    ["an import within a folder", { "lib/a.ts": 'import { b } from "./b";', "lib/b.ts": "" }, []],
    [
      "an import upward",
      { "lib/a.ts": 'import type { B } from "../image/b";', "image/b.ts": "" },
      ["lib/a.ts imports image/b, which is in a higher layer."],
    ],
    [
      "an import on demand upward",
      { "lib/a.ts": 'const b = await import("../image/b");', "image/b.ts": "" },
      ["lib/a.ts imports image/b, which is in a higher layer."],
    ],
    [
      "a circle",
      { "lib/a.ts": 'import { b } from "./b";', "lib/b.ts": 'export { a } from "./a";' },
      ["These files import each other: lib/a → lib/b → lib/a."],
    ],
    [
      "a circle over several files, reported once, from where it begins",
      {
        "lib/entry.ts": 'import { a } from "./a";',
        "lib/a.ts": 'import { b } from "./b";',
        "lib/b.ts": 'import { c } from "./c";',
        "lib/c.ts": 'import { a } from "./a";',
      },
      ["These files import each other: lib/a → lib/b → lib/c → lib/a."],
    ],
    ["an unknown folder", { "host/a.ts": "" }, ["host/a.ts is in a folder that LAYERS does not name."]],
    [
      "Nomad's protobufs below the layers that speak with Nomad",
      { "image/a.ts": 'import { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";' },
      ["image/a.ts imports Nomad's protobufs; only config, launch, task, driver, runtime, cli may."],
    ],
    [
      "a shim that loads a package",
      {
        "supervisor/process/shim.ts": 'import { a } from "../../config/a";\nimport type { B } from "../../config/b";',
        "config/a.ts": 'import * as v from "valibot";\nimport { join } from "node:path";',
        "config/b.ts": 'import { encode } from "@msgpack/msgpack";',
      },
      ["supervisor/process/shim.ts loads the package valibot, through config/a.ts."],
    ],
    [
      "a second table of C functions",
      { "linux/a.ts": 'dlopen("libc.so.6", {});' },
      ["linux/a.ts calls dlopen; only linux/ffi.ts may."],
    ],
  ] as const)("%s", (_case, texts, problems) => expect(problemsOf(texts)).toEqual([...problems]));

  test.each([
    ["no comment", "export const a = 1;\n"],
    ["a comment of one line", "/** What lives here. */\n\nexport const a = 1;\n"],
    ["the comment of a declaration", "/**\n * What it\n * means\n * here.\n */\nexport const a = 1;\n"],
    ["a comment after the imports", `import { b } from "./b";\n\n${COMMENT}`],
  ])("a folder without a module comment: %s", (_case, text) =>
    expect(problemsOf({ "lib/a.ts": text }, { bare: true })).toEqual([
      "lib has no file that begins with a module comment.",
    ]),
  );
});

test.each([
  ["tools/a.ts", "../test/support/b", ["tools/a.ts imports test/support/b; files of tools must not import test."]],
  ["tools/a.ts", "../scripts/b", ["tools/a.ts imports scripts/b; files of tools must not import scripts."]],
  ["scripts/deep/a.ts", "../../test/b", ["scripts/deep/a.ts imports test/b; files of scripts must not import test."]],
  [
    "test/nomad/a.test.ts",
    "../../scripts/b",
    ["test/nomad/a.test.ts imports scripts/b; files of test must not import scripts."],
  ],
  ["src/lib/a.ts", "../../tools/b", ["src/lib/a.ts imports tools/b; files of src must not import tools."]],
  ["scripts/a.ts", "../tools/b", []],
  ["test/a.ts", "../tools/b", []],
  ["tools/a.ts", "../src/lib/b", []],
  ["src/lib/a.ts", "../../gen/b", []],
] as const)("%s that imports %s", (path, specifier, problems) => {
  expect(folderProblems([{ path, text: `import { b } from "${specifier}";` }])).toEqual([...problems]);
});

test("this project breaks none of the rules", () => {
  expect(checkLayers(projectRoot)).toEqual([]);
});
