import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSoname } from "./soname";

let directory = "";
let library = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "soname-"));
  library = (await Array.fromAsync(new Bun.Glob("/usr/lib/*/libz.so.1.*").scan("/")))[0] ?? "";
});
afterAll(() => rm(directory, { recursive: true }));

test("a library of this machine has the name by which programs look for it", () => {
  expect(readSoname(library)).toBe("libz.so.1");
});

test("a program, a text, a directory and what does not exist have none", async () => {
  const text = join(directory, "text");
  await writeFile(text, "\x7fELF\x02\x01 and no more");
  for (const path of ["/usr/bin/env", text, directory, join(directory, "missing")])
    expect(readSoname(path)).toBeUndefined();
});

test("a library that is cut off or has any other bytes is read without an error", async () => {
  const bytes = await readFile(library);
  const path = join(directory, "changed");
  for (let step = 0; step < 300; step += 1) {
    const changed = Buffer.from(bytes.subarray(0, step % 3 === 0 ? (step * 37) % bytes.length : bytes.length));
    for (let at = step % 64; at < Math.min(changed.length, 1024); at += 61) changed[at] = (step * 91 + at) % 256;
    await writeFile(path, changed);
    const found = readSoname(path);
    expect(found === undefined || !found.includes("/")).toBe(true);
  }
});
