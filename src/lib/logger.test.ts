import { expect, test } from "bun:test";
import { type LogFields, StageTimer } from "./logger";

test("each stage is a line with the time since the one before", () => {
  const lines: (LogFields | undefined)[] = [];
  let now = 100;
  const timer = new StageTimer({ trace: (_message, fields) => lines.push(fields) }, "web-1", () => now);
  for (const [stage, at] of [
    ["plan", 101.26],
    ["image", 101.26],
    ["supervisor", 151.3],
  ] as const) {
    now = at;
    timer.done(stage);
  }
  expect(lines).toEqual([
    { machine: "web-1", stage: "plan", ms: 1.3 },
    { machine: "web-1", stage: "image", ms: 0 },
    { machine: "web-1", stage: "supervisor", ms: 50 },
  ]);
});
