/** `bun scripts/in-vm.ts COMMAND…`: runs a command in the repository inside a fresh virtual machine, for manual use. */

import { resolve } from "node:path";
import { startVm } from "../tools/machines/vm";

const argv = process.argv.slice(2);
if (argv.length === 0) {
  console.error("usage: bun scripts/in-vm.ts COMMAND [ARGUMENT…]");
  process.exitCode = 2;
} else {
  await using vm = await startVm((line) => console.error(line));
  const { code } = await vm.exec(argv, { cwd: resolve(import.meta.dir, ".."), output: "show" });
  process.exitCode = code;
}
