import { describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { projectRoot } from "../build/project";
import { barChart } from "./bars";
import { performancePlots } from "./performance";
import { milliseconds, tableIn } from "./tables";

const PAGE =
  "# P\n\n## One\n\n| a | b |\n|---|---|\n| `x` | 1.5 s |\n\n## Two\n\n| a |\n|---|\n| **y** |\n\n| a |\n|---|\n| z |\n";

test("a table is found by its section", () => {
  expect(tableIn(PAGE, "One", 0)).toEqual([["x", "1.5 s"]]);
  expect(tableIn(PAGE, "Two", 1)).toEqual([["z"]]);
  expect(() => tableIn(PAGE, "One", 1)).toThrow('The section "One" has no table 1.');
});

test.each([
  ["93.3 ms", 93.3],
  ["7.0 s (5.6 to 7.4)", 7000],
])("%s is a time", (cell, ms) => expect(milliseconds(cell)).toBe(ms));

test("what is no time is an error", () => expect(() => milliseconds("none")).toThrow('"none" is not a time.'));

describe("a chart", () => {
  const svg = barChart({
    title: "a < b",
    series: ["one", "two"],
    groups: [
      { label: "g", values: [500, 1000] },
      { label: "h", values: [undefined, 20] },
    ],
  });

  test("has a title, a bar for each value in proportion, and its number", () => {
    expect(svg).toContain("<title>a &lt; b</title>");
    const widths = [...svg.matchAll(/height="14" fill/g)];
    expect(widths).toHaveLength(3);
    expect(svg).toContain('width="210.0"');
    expect(svg).toContain('width="420.0"');
    expect([...svg.matchAll(/>([\d.]+ m?s)</g)].map(([, text]) => text)).toEqual(["500 ms", "1.0 s", "20 ms"]);
  });
});

const page = await readFile(join(projectRoot, "docs/performance.md"), "utf8");
test.each(Object.entries(performancePlots(page)))(
  "%s shows the figures of docs/performance.md (bun scripts/plots.ts)",
  async (name, svg) => {
    expect(await readFile(join(projectRoot, "docs/assets", name), "utf8")).toBe(svg);
    expect(page).toContain(`](assets/${name})`);
  },
);
