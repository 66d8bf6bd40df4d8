import { describe, expect, test } from "bun:test";
import { ProgressNotes } from "./pull-progress";

const mebibyte = 1024 * 1024;

describe("ProgressNotes", () => {
  test("reports percent, bytes and rate", () => {
    const notes = new ProgressNotes("alpine:3", 5000);
    expect(notes.update({ received: mebibyte, total: 266 * mebibyte }, 5999)).toBeUndefined();
    expect(notes.update({ received: 120 * mebibyte, total: 266 * mebibyte }, 7400)).toEqual({
      message: "Downloading image alpine:3: 45 % (120 of 266 MiB, 50.0 MiB/s)",
      annotations: {
        image: "alpine:3",
        percent: "45",
        bytes: String(120 * mebibyte),
        rate: String(50 * mebibyte),
        total: String(266 * mebibyte),
      },
    });
  });

  test("the rate is measured since the last note", () => {
    const notes = new ProgressNotes("a", 0);
    notes.update({ received: 100 * mebibyte, total: 200 * mebibyte }, 1000);
    expect(notes.update({ received: 104 * mebibyte, total: 200 * mebibyte }, 3000)?.message).toBe(
      "Downloading image a: 52 % (104 of 200 MiB, 2.0 MiB/s)",
    );
  });

  test.each([
    ["no total", { received: 2.5 * mebibyte }, "2.5 MiB, 2.5 MiB/s"],
    ["nothing yet", {}, ""],
    ["a percentage alone", { percent: 35 }, "35 %"],
    ["more than the total", { received: 3 * mebibyte, total: 2 * mebibyte }, "100 % (3.0 of 2.0 MiB, 3.0 MiB/s)"],
    ["nothing at all", { received: 0, total: 0 }, "0.0 of 0.0 MiB, 0.0 MiB/s"],
  ] as const)("with %s", (_, progress, text) =>
    expect(new ProgressNotes("a", 0).update(progress, 1000)?.message).toBe(
      `Downloading image a${text === "" ? "" : `: ${text}`}`,
    ),
  );

  test("becomes rarer", () => {
    const notes = new ProgressNotes("a", 0);
    const reported: number[] = [];
    for (let now = 0; now < 200_000; now += 100)
      if (notes.update({ received: now, total: 1e9 }, now) !== undefined) reported.push(now);
    expect(reported).toEqual([1000, 3000, 7000, 15_000, 31_000, 63_000, 123_000, 183_000]);
  });

  test("reports the end of a download only if it was reported before", () => {
    const quick = new ProgressNotes("a", 0);
    expect(quick.finish({ received: 5 }, 500)).toBeUndefined();
    const slow = new ProgressNotes("a", 0);
    slow.update({ received: mebibyte, total: 20 * mebibyte }, 2000);
    expect(slow.finish({ received: 20 * mebibyte }, 4000)).toEqual({
      message: "Downloaded image a: 20 MiB in 4.0 s",
      annotations: { image: "a", bytes: String(20 * mebibyte), seconds: "4.0" },
    });
  });
});
