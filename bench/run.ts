/** `bun run bench [NAME…]`: measures the built binary inside a test host, against a peer in the same run. */

import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { startTestHost } from "../test/support/test-host";

const notBenchmarks = ["run.ts", "statistics.ts"];
const directory = import.meta.dir;
const all = (await readdir(directory)).filter((name) => !notBenchmarks.includes(name)).sort();
const wanted = process.argv.slice(2).map((name) => `${name}.ts`);
const unknown = wanted.find((name) => !all.includes(name));
if (unknown !== undefined) throw new Error(`There is no benchmark ${unknown}: there are ${all.join(", ")}.`);

await using host = await startTestHost((line) => console.error(line));
for (const name of wanted.length === 0 ? all : wanted) {
  console.log(`— ${name}`);
  const { code } = await host.exec(["bun", join("bench", name)], { cwd: resolve(directory, ".."), output: "show" });
  if (code !== 0) process.exitCode = code;
}
