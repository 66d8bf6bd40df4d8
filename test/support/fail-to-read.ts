/**
 * Loaded into a plugin before its own code (BUN_OPTIONS=--preload): after SIGUSR2, the first read of a file whose path matches
 * FAIL_TO_READ fails because no descriptor is left. This file is not part of the product.
 */

import { createRequire } from "node:module";

const fs: Record<string, unknown> = createRequire(import.meta.url)("node:fs");
const path = new RegExp(process.env["FAIL_TO_READ"] ?? "(?!)");
let armed = false;
process.on("SIGUSR2", () => {
  armed = true;
});

for (const name of ["readFileSync", "openSync"]) {
  const original = fs[name];
  if (typeof original !== "function") throw new Error(`node:fs has no ${name} to replace.`);
  fs[name] = new Proxy(original, {
    apply: (target, self, args) => {
      if (!armed || !path.test(String(args[0]))) return Reflect.apply(target, self, args);
      armed = false;
      throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
    },
  });
}
