import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtempDisposable, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errorText } from "../lib/errors";
import { lockMachine, removeStaleLocks } from "./machine-lock";

test("a second one waits until the first is disposed of, and nothing stays", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "machine-lock-"));
  const locks = join(scratch.path, "run/locks");
  const order: string[] = [];
  const first = await lockMachine("a", undefined, locks);
  const second = lockMachine("a", undefined, locks).then((lock) => {
    order.push("second");
    return lock;
  });
  // Another machine does not wait.
  await (await lockMachine("b", undefined, locks))[Symbol.asyncDispose]();
  order.push("b");
  await first[Symbol.asyncDispose]();
  await (await second)[Symbol.asyncDispose]();
  expect(order).toEqual(["b", "second"]);
  expect(existsSync(join(scratch.path, "run"))).toBe(false);
});

test("waiting ends with its signal", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "machine-lock-"));
  await using _held = await lockMachine("a", undefined, join(scratch.path, "locks"));
  const stop = new AbortController();
  const waiting = lockMachine("a", stop.signal, join(scratch.path, "locks"));
  stop.abort(new Error("the agent is gone"));
  expect(await waiting.catch(errorText)).toBe("the agent is gone");
});

test("files of ended processes are removed, and those of others stay", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "machine-lock-"));
  const locks = join(scratch.path, "locks");
  {
    await using _held = await lockMachine("held", undefined, locks);
    await writeFile(join(locks, "left"), "");
    await removeStaleLocks(locks);
    expect(await readdir(locks)).toEqual(["held"]);
    await writeFile(join(locks, "left"), "");
  }
  await removeStaleLocks(locks);
  expect(existsSync(locks)).toBe(false);
});
