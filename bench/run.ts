/** `bun run bench`: measures the built binary inside a test host, against a peer in the same run. */

import { resolve } from "node:path";
import { startTestHost } from "../test/support/test-host";

await using host = await startTestHost((line) => console.error(line));
const { code } = await host.exec(["bun", "bench/start.ts"], {
  cwd: resolve(import.meta.dir, ".."),
  output: "show",
});
process.exitCode = code;
