/**
 * Loaded into a shim before its own code. Its first argument names the fault: when the shim records what it has just started, it is
 * killed ("killed") or the disk is full ("full"); or the cgroups that a container leaves when it reboots stay busy for a while ("busy"), as
 * they do until the kernel has finished with their processes. This file is not part of the product.
 */

import { createRequire } from "node:module";

const fs: Record<string, unknown> = createRequire(import.meta.url)("node:fs");
const [how] = process.argv.splice(2, 1);

/** Milliseconds. */
const busyFor = 300;

/** Makes a function fail with an error if `disturbed` selects its arguments. */
function disturb(name: string, code: string, disturbed: (args: readonly unknown[]) => boolean): void {
  const original = fs[name];
  if (typeof original !== "function") throw new Error(`There is no ${name} to disturb.`);
  fs[name] = new Proxy(original, {
    apply: (target, self, args) => {
      if (!disturbed(args)) return Reflect.apply(target, self, args);
      if (how === "killed") process.kill(process.pid, "SIGKILL");
      throw Object.assign(new Error(`${code}: disturbed`), { code });
    },
  });
}

if (how === "busy") {
  let since: number | undefined;
  disturb("rmdirSync", "EBUSY", () => {
    since ??= performance.now();
    return performance.now() - since < busyFor;
  });
} else {
  disturb("renameSync", "ENOSPC", ([, to]) => String(to).endsWith("/running.json"));
}
