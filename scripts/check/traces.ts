/**
 * `traces.ts save FILE` records the driver's traces on this machine; `traces.ts compare FILE` prints new traces since then
 * and exits with 1 if it finds any. It is a separate program, so that it can run inside a test host.
 */

import { readFile, writeFile } from "node:fs/promises";
import * as v from "valibot";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";

const saved = v.record(v.string(), v.array(v.string()));

const [, , verb, file] = process.argv;
if (file === undefined || (verb !== "save" && verb !== "compare")) {
  console.error("usage: traces.ts save|compare FILE");
  process.exitCode = 2;
} else if (verb === "save") {
  const state = Object.fromEntries([...(await hostState())].map(([kind, found]) => [kind, [...found]]));
  await writeFile(file, JSON.stringify(state));
} else {
  const kinds = v.parse(saved, JSON.parse(await readFile(file, "utf8")));
  const before: HostState = new Map(Object.entries(kinds).map(([kind, found]) => [kind, new Set(found)]));
  const left = await leftovers(before);
  for (const sentence of left) console.log(sentence);
  if (left.length > 0) process.exitCode = 1;
}
