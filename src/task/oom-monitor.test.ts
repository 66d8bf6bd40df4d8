import { expect, test } from "bun:test";
import { oomSentence } from "./oom-monitor";

const mebibyte = 1024 * 1024;

test.each([
  [{ kills: 1, limit: 64 * mebibyte, peak: 63.5 * mebibyte }, ": the limit is 64 MiB, the peak usage was 63.5 MiB"],
  [{ kills: 1, limit: 64 * mebibyte }, ": the limit is 64 MiB"],
  [{ kills: 3 }, ""],
])("%j", (state, more) => {
  expect(oomSentence(state)).toBe(`Out of memory: the kernel killed a process of the task${more}`);
});
