/** docs/troubleshooting.md quotes the driver's messages: each one still exists. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { projectRoot } from "../../tools/build/project";

/** Symptoms in the words of other programs. */
const FOREIGN = [
  "nomad node status",
  "Constraint",
  "nomad alloc",
  "Directory tree",
  "ports",
  "unexpected EOF",
  "journal = ",
];
/** Shorter parts of a sentence say nothing. */
const SHORTEST = 8;

const page = await Bun.file(join(projectRoot, "docs/troubleshooting.md")).text();
const quoted = [...page.matchAll(/^\| (.*?) \|/gm)]
  .flatMap(([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text))
  .filter((text) => !FOREIGN.some((foreign) => text.startsWith(foreign)));

const sources = await Array.fromAsync(new Bun.Glob("src/**/*.ts").scan(projectRoot), (file) =>
  file.endsWith(".test.ts") ? "" : Bun.file(join(projectRoot, file)).text(),
);
const source = sources.join("\n");

test("the page quotes messages", () => expect(quoted.length).toBeGreaterThan(15));

test.each(quoted)("%s", (message) => {
  const parts = message
    .split("…")
    .map((part) => part.trim())
    .filter((part) => part.length >= SHORTEST);
  expect(parts.filter((part) => !source.includes(part))).toEqual([]);
});
