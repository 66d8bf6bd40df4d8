import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../../src/lib/executable";
import { sha256 } from "../../tools/build/artifacts";
import { compile } from "../../tools/build/compile";
import { elfNeeds } from "../../tools/build/elf";
import { driverBinary, projectRoot } from "../../tools/build/project";
import { requirementProblems } from "../../tools/build/requirements";
import { run } from "../../tools/command";

const binary = driverBinary();
const entry = "src/main.ts";
const commit = "0123456789ab";
const time = 1_764_000_000;
let scratch = "";
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "nspawn-build-"));
});
afterAll(() => rm(scratch, { recursive: true }));

describe("the built binary", () => {
  test("prints its version and the commit it was built from", async () => {
    const { stdout } = await run([binary, "version"]);
    expect(stdout).toContain(version);
    expect(stdout).toMatch(/\b[0-9a-f]{12}(-dirty)?\b/);
  });

  test("needs only glibc, in no newer version than documented", async () => {
    expect(requirementProblems(elfNeeds(new Uint8Array(await Bun.file(binary).arrayBuffer())))).toEqual([]);
  });

  test("runs on a system with only glibc", async () => {
    const { stdout } = await run([binary, "version"], { env: {}, cwd: "/" });
    expect(stdout).toContain(version);
  });
});

describe("a build", () => {
  test("is byte-identical when repeated, and in another directory", async () => {
    const first = join(scratch, "first/out");
    await compile({ root: projectRoot, entry, outfile: first, commit, time });
    const copy = join(scratch, "another place/of the tree");
    await mkdir(copy, { recursive: true });
    for (const name of ["src", "gen", "package.json", "tsconfig.json", "bunfig.toml"]) {
      await cp(join(projectRoot, name), join(copy, name), { recursive: true });
    }
    await symlink(join(projectRoot, "node_modules"), join(copy, "node_modules"));
    const second = join(scratch, "second/out");
    await compile({ root: copy, entry, outfile: second, commit, time });
    expect(await sha256(second)).toBe(await sha256(first));
    expect((await run([first, "version"])).stdout).toContain(commit);
  });

  test("does not contain the path it was built in", async () => {
    const bytes = await readFile(join(scratch, "first/out"));
    expect(bytes.includes(projectRoot)).toBe(false);
    expect(bytes.includes(scratch)).toBe(false);
  });
});
