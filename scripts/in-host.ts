/** `bun scripts/in-host.ts COMMAND…`: runs a command in the repository inside a fresh test host, for work by hand. */

import { resolve } from "node:path";
import { startTestHost } from "../test/support/test-host";

const argv = process.argv.slice(2);
if (argv.length === 0) {
  console.error("usage: bun scripts/in-host.ts COMMAND [ARGUMENT…]");
  process.exitCode = 2;
} else {
  await using host = await startTestHost((line) => console.error(line));
  const { code } = await host.exec(argv, { cwd: resolve(import.meta.dir, ".."), output: "show" });
  process.exitCode = code;
}
