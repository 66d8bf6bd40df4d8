/** `bun scripts/in-host.ts [--suite SUITE] COMMAND…`: runs a command in the repository inside a fresh test host, for manual use. */

import { resolve } from "node:path";
import { hostSuites, isHostSuite } from "../tools/images/host-tree";
import { startTestHost } from "../tools/machines/test-host";

const words = process.argv.slice(2);
const [suite, argv] = words[0] === "--suite" ? [words[1] ?? "", words.slice(2)] : ["trixie", words];
if (argv.length === 0 || !isHostSuite(suite)) {
  console.error(`usage: bun scripts/in-host.ts [--suite ${hostSuites.join("|")}] COMMAND [ARGUMENT…]`);
  process.exitCode = 2;
} else {
  await using host = await startTestHost((line) => console.error(line), suite);
  const { code } = await host.exec(argv, { cwd: resolve(import.meta.dir, ".."), output: "show" });
  process.exitCode = code;
}
