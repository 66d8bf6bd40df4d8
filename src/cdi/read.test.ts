import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFifo } from "../linux/files";
import { readCdiFiles } from "./read";
import { cdiNotes, selectCdi } from "./select";

let directories: string[] = [];
beforeEach(() => {
  directories = [mkdtempSync(join(tmpdir(), "cdi-a-")), mkdtempSync(join(tmpdir(), "cdi-b-"))];
});
afterEach(() => {
  for (const directory of directories) rmSync(directory, { recursive: true });
});

const at = (index: number, name: string) => join(directories[index] ?? "", name);
const spec = (value: string, names = ["0"], kind = "v.com/c") =>
  JSON.stringify({
    cdiVersion: "0.6.0",
    kind,
    devices: names.map((name) => ({ name, containerEdits: { env: [`OWN=${value}`] } })),
    containerEdits: { env: [`ALL=${value}`] },
  });

test("files of other names and missing directories are not read", () => {
  writeFileSync(at(0, "a.json"), spec("a"));
  writeFileSync(at(0, "README"), "x");
  expect(readCdiFiles([...directories, "/no/such"]).map(({ path }) => path)).toEqual([at(0, "a.json")]);
});

test("files that are no specifications say why, and hide no others", () => {
  symlinkSync("/etc/passwd", at(0, "a.json"));
  createFifo(at(0, "b.json"), 0o600);
  writeFileSync(at(0, "c.json"), spec("c"));
  chmodSync(at(0, "c.json"), 0o666);
  writeFileSync(at(0, "d.json"), "");
  truncateSync(at(0, "d.json"), 5 * 1024 * 1024);
  writeFileSync(at(0, "e.yaml"), "{");
  writeFileSync(at(0, "f.json"), spec("f"));
  const files = readCdiFiles(directories);
  expect(files.map(({ spec: found }) => (typeof found === "string" ? found : found.kind))).toEqual([
    "it is a symlink",
    "it is not a regular file",
    "users other than root can write to it",
    "it is larger than 4 MiB",
    "it is not YAML",
    "v.com/c",
  ]);
  expect(selectCdi(files, ["v.com/c=1"])).toEqual({
    name: "v.com/c=1",
    problem: expect.stringMatching(
      /^is in no specification .*: there are v\.com\/c=0; .*a\.json cannot be used: it is a symlink; /,
    ),
  });
});

function variables(names: readonly string[]): readonly string[] | string {
  const selection = selectCdi(readCdiFiles(directories), names);
  return "problem" in selection ? selection.problem : selection.edits.flatMap(({ edits }) => edits.env);
}

test("a later directory takes precedence, and a specification's own edits come once and first", () => {
  writeFileSync(at(0, "a.json"), spec("a", ["0", "1"]));
  writeFileSync(at(1, "a.json"), spec("b", ["0"]));
  expect(variables(["v.com/c=0"])).toEqual(["ALL=b", "OWN=b"]);
  expect(variables(["v.com/c=1"])).toEqual(["ALL=a", "OWN=a"]);
  writeFileSync(at(1, "b.json"), spec("c", ["1", "2"]));
  expect(variables(["v.com/c=1", "v.com/c=2", "v.com/c=1"])).toEqual(["ALL=c", "OWN=c", "OWN=c"]);
});

test("a device in two specifications of one directory is in neither", () => {
  writeFileSync(at(0, "a.json"), spec("a"));
  writeFileSync(at(0, "b.json"), spec("b"));
  expect(variables(["v.com/c=0"])).toContain("is in two specifications");
});

test("what the driver does not do is said", () => {
  const edits = {
    hooks: [
      { hookName: "createContainer", path: "/usr/bin/h" },
      { hookName: "createContainer", path: "/usr/bin/h" },
    ],
    netDevices: [{}],
    intelRdt: {},
    mounts: [{ hostPath: "/tmpfs", containerPath: "/x", type: "tmpfs" }],
  };
  writeFileSync(
    at(0, "a.json"),
    JSON.stringify({ cdiVersion: "1.1.0", kind: "v.com/c", devices: [{ name: "0", containerEdits: edits }] }),
  );
  const selection = selectCdi(readCdiFiles(directories), ["v.com/c=0"]);
  expect("problem" in selection ? [selection.problem] : cdiNotes(selection)).toEqual([
    expect.stringContaining(
      "The CDI device v.com/c=0 has hooks, which the driver does not run: createContainer /usr/bin/h.",
    ),
    expect.stringContaining("network devices"),
    expect.stringContaining("Intel RDT"),
    expect.stringContaining("a mount of the type tmpfs at /x"),
  ]);
});
