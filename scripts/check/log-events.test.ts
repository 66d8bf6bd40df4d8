/** docs/logging.md lists every line that the driver logs, with its level. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { projectRoot } from "../../tools/build/project";

/** Calls of a logger with a literal message, and of the functions that log in its place. */
const CALL = /(?:\b(?:log|Log)|context)\.(trace|debug|info|warn|error)\(\s*"([^"]+)"/g;
const BY_FUNCTION = /#warn\("([^"]+)"/g;
/** Calls whose message is a constant, or whose level is a variable. */
const OTHERS = ["error task start failed", "info, warn metrics are not served; trying again"];
/** Files that log through another one, or for the command line. */
const FOREIGN = /^src\/(?:cli|lib)\/|\.test\.ts$/;

async function logged(): Promise<string[]> {
  const found = new Set(OTHERS);
  for await (const file of new Bun.Glob("src/**/*.ts").scan(projectRoot)) {
    if (FOREIGN.test(file)) continue;
    const text = await Bun.file(join(projectRoot, file)).text();
    for (const [, level = "", message = ""] of text.matchAll(CALL)) found.add(`${level} ${message}`);
    for (const [, message = ""] of text.matchAll(BY_FUNCTION)) found.add(`warn ${message}`);
  }
  return [...found].sort();
}

test("the list of the driver's log lines is complete", async () => {
  const page = await Bun.file(join(projectRoot, "docs/logging.md")).text();
  const section = page.slice(page.indexOf("## The driver's own log"));
  const rows = [...section.matchAll(/^\| `([^`]+)` \| ([a-z, ]+) \|/gm)].map(
    ([, message, level]) => `${level} ${message}`,
  );
  expect(rows.sort()).toEqual(await logged());
});

/** Files that pass a sentence to a logger which makes it a field. */
const SENTENCES = ["src/supervisor/process/container.ts", "src/supervisor/process/process-supervisor.ts"];

test("no message contains a value", async () => {
  const found: string[] = [];
  for await (const file of new Bun.Glob("src/**/*.ts").scan(projectRoot)) {
    if (FOREIGN.test(file) || SENTENCES.includes(file)) continue;
    const text = await Bun.file(join(projectRoot, file)).text();
    if (/\b[lL]og\.(?:trace|debug|info|warn|error)\(\s*`/.test(text)) found.push(file);
  }
  expect(found).toEqual([]);
});
