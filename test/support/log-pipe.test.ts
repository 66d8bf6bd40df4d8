import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeLogPipe } from "./log-pipe";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "log-pipe-"));
});
afterAll(() => rm(directory, { recursive: true }));

test("collects until the last writer is gone", async () => {
  const pipe = await makeLogPipe(join(directory, "a"));
  const writer = Bun.spawn(["sh", "-c", "echo one; read -r _; echo two", "sh"], {
    stdin: "pipe",
    stdout: Bun.file(pipe.path),
  });
  expect(await pipe.waitFor("one\n")).toBe("one\n");
  writer.stdin.write("go\n");
  writer.stdin.end();
  expect(await pipe.ended()).toBe("one\ntwo\n");
});

test("reports the text that was read instead of the expected one", async () => {
  const pipe = await makeLogPipe(join(directory, "b"));
  await appendFile(pipe.path, "something else");
  await pipe.ended();
  await expect(pipe.waitFor("missing", 10)).rejects.toThrow("something else");
});

test("stops before a writer has opened the FIFO, and continues later", async () => {
  const pipe = await makeLogPipe(join(directory, "c"));
  await pipe.stop();
  pipe.resume();
  await appendFile(pipe.path, "late");
  expect(await pipe.ended()).toBe("late");
});
