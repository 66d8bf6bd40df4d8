/**
 * `bun run bench [NAME…] [NUMBER…]`: measures the built binary against a peer in the same run, inside a test host or next to the peers.
 * Numbers are passed to the benchmarks: `bun run bench many 300` starts 300 tasks.
 */

import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { installPackages } from "../scripts/setup/packages";
import { attempt } from "../tools/command";
import { startTestHost } from "../tools/machines/test-host";

const notBenchmarks = ["run.ts", "layer-content.ts", "start-once.ts", "statistics.ts"];
/** Packages of peers that are not in the test host: these benchmarks run on this machine, in separate namespaces. */
const onMachine: Readonly<Record<string, readonly string[]>> = {
  "pull.ts": ["crun", "docker-registry", "podman", "skopeo", "umoci"],
  "pull-stages.ts": ["crun", "docker-registry", "skopeo"],
};
const inNamespaces = ["unshare", "--net", "--mount", "--propagation", "private", "--", "/bin/sh", "-c"];
const directory = import.meta.dir;
const cwd = resolve(directory, "..");
const all = (await readdir(directory)).filter((name) => !notBenchmarks.includes(name)).sort();
const words = process.argv.slice(2);
const numbers = words.filter((word) => /^\d+$/.test(word));
const named = words.filter((word) => !numbers.includes(word)).map((name) => `${name}.ts`);
const unknown = named.find((name) => !all.includes(name));
if (unknown !== undefined) throw new Error(`Unknown benchmark ${unknown}; allowed: ${all.join(", ")}.`);
const wanted = named.length === 0 ? all : named;
const say = (line: string) => console.error(line);

const here = wanted.filter((name) => name in onMachine);
await installPackages(say, [...new Set(here.flatMap((name) => onMachine[name] ?? []))]);
for (const name of here) {
  console.log(`— ${name}`);
  const script = 'ip link set lo up && exec "$@"';
  const argv = [...inNamespaces, script, "sh", process.execPath, join("bench", name), ...numbers];
  const { code } = await attempt(argv, { cwd, output: "show" });
  if (code !== 0) process.exitCode = code;
}
const inside = wanted.filter((name) => !(name in onMachine));
if (inside.length > 0) {
  await using host = await startTestHost(say);
  for (const name of inside) {
    console.log(`— ${name}`);
    const { code } = await host.exec(["bun", join("bench", name), ...numbers], { cwd, output: "show" });
    if (code !== 0) process.exitCode = code;
  }
}
