import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { inDirectory } from "./directories";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "in-directory-"));
});
afterAll(() => rm(scratch, { recursive: true }));

test("a directory removed by others meanwhile is created again, accessible to root only", async () => {
  const directory = join(scratch, "all/of/them");
  let tries = 0;
  const path = await inDirectory(directory, async () => {
    tries += 1;
    if (tries < 3) for (const each of [directory, dirname(directory)]) await rmdir(each);
    await writeFile(join(directory, "own"), "");
    return join(directory, "own");
  });
  expect([tries, path]).toEqual([3, join(directory, "own")]);
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
});

test("if something else is in its place, or the work fails, the error is thrown at once", async () => {
  await writeFile(join(scratch, "file"), "");
  let tries = 0;
  const count = () => {
    tries += 1;
    throw Object.assign(new Error("full"), { code: "ENOSPC" });
  };
  await expect(inDirectory(join(scratch, "file/below"), count)).rejects.toThrow(/ENOTDIR/);
  expect(tries).toBe(0);
  await expect(inDirectory(scratch, count)).rejects.toThrow("full");
  expect(tries).toBe(1);
});

test("retries end if the directory never exists", async () => {
  await expect(inDirectory(scratch, () => stat(join(scratch, "missing")))).rejects.toThrow(/ENOENT/);
});
