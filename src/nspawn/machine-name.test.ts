import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hostnameProblem } from "../values/names";
import { machineName } from "./machine-name";

const ALLOC = "d5b4a7c6-1f0e-4a3b-9c8d-7e6f5a4b3c2d";

describe("the Go driver's name if systemd accepts it", () => {
  test.each(["web", "Web-1", "a.b", "x".repeat(27)])("%s", (task) => {
    expect(machineName(task, ALLOC)).toBe(`${task}-${ALLOC}`);
  });
});

describe("a sanitized name", () => {
  test.each([
    ["under_score", "under-score-"],
    ["with space", "with-space-"],
    ["-edge-", "edge-"],
    ["ümläut", "ml-ut-"],
    ["a/../b", "a-b-"],
    ["x".repeat(28), `${"x".repeat(14)}-`],
    ["...", ""],
  ])("%s", (task, start) => {
    const name = machineName(task, ALLOC);
    expect(name).toMatch(new RegExp(`^${start}[0-9a-f]{12}-${ALLOC}$`));
  });
});

test("different names give different valid machine names, and the same name always the same one", () => {
  const task = fc.oneof(
    fc.string({ minLength: 1 }),
    fc.string({ unit: "binary" }),
    fc.stringMatching(/^[a-z._-]{1,40}$/),
  );
  const alloc = fc.oneof(fc.uuid(), fc.string());
  fc.assert(
    fc.property(task, task, alloc, (a, b, id) => {
      const name = machineName(a, id);
      expect(hostnameProblem(name)).toBeUndefined();
      expect(machineName(a, id)).toBe(name);
      if (a !== b) expect(machineName(b, id)).not.toBe(name);
    }),
    { numRuns: 2000 },
  );
});
