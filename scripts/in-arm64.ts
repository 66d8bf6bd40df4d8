/**
 * `bun scripts/in-arm64.ts COMMAND…`: runs a command of this machine or of an arm64 one, for manual use, where `bun` is the runtime for
 * arm64 and dist/arm64/nomad-driver-nspawn (`bun run build --arm64`) can be run. It has no rights on the machine: tasks need `user_namespacing = false` there, and images for arm64.
 */

import { delimiter, dirname } from "node:path";
import { bunRuntime } from "../tools/build/bun-runtime";
import { ARM64 } from "../tools/build/targets";
import { arm64Emulator } from "../tools/images/arm64";
import { openArm64View } from "../tools/machines/arm64-view";

const argv = process.argv.slice(2);
if (argv.length === 0) {
  console.error("usage: bun scripts/in-arm64.ts COMMAND [ARGUMENT…]");
  process.exitCode = 2;
} else {
  const say = (line: string) => console.error(line);
  await using view = await openArm64View(await arm64Emulator(say));
  if (view === undefined) throw new Error("This needs root and Linux 6.7 or later.");
  const path = [dirname(await bunRuntime(ARM64, say)), process.env["PATH"]].join(delimiter);
  const child = Bun.spawn(view.inside(argv), {
    env: { ...process.env, PATH: path },
    stdio: ["inherit", "inherit", "inherit"],
  });
  process.exitCode = await child.exited;
}
