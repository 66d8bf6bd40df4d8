import { expect, test } from "bun:test";
import { StartCancelledError, TaskRegistry } from "./task-registry";

test("the error for an unknown task is the text that agents compare", () => {
  expect(() => new TaskRegistry().get("x")).toThrow("task not found for given id");
});

test("a start that is cancelled ends with that reason, and is waited for", async () => {
  const store = new TaskRegistry();
  const start = store.add(
    "x",
    "machine-x",
    (cancelled) => new Promise((_, reject) => cancelled.addEventListener("abort", () => reject(new Error("aborted")))),
  );
  const problem = start.then(
    () => "none",
    (error: unknown) => error,
  );
  await store.cancelStart("x");
  expect(store.hasMachine("machine-x")).toBe(false);
  expect(await problem).toBeInstanceOf(StartCancelledError);
  await store.cancelStart("x");
});

test("while a task is being added, a second one with its ID is rejected", async () => {
  const store = new TaskRegistry();
  const never = Promise.withResolvers<never>();
  const first = store.add("x", "machine-x", () => never.promise);
  await expect(store.add("x", "machine-x", () => never.promise)).rejects.toThrow("already started");
  expect([store.hasMachine("machine-x"), store.hasMachine("other")]).toEqual([true, false]);
  never.reject(new Error("no"));
  await expect(first).rejects.toThrow("no");
  await first.catch(() => {});
  expect(store.hasMachine("machine-x")).toBe(false);
  await expect(store.add("x", "machine-x", () => Promise.reject(new Error("again")))).rejects.toThrow("again");
});
