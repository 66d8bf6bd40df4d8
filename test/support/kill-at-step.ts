/**
 * Loaded into a plugin before its own code (BUN_OPTIONS=--preload): after SIGUSR2 it counts the plugin's steps outside of its own
 * memory (files, processes, connections, mounts, messages to the kernel), and kills the plugin before step number KILL_AT_STEP. This file is not part of the
 * product.
 */

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const killAt = Number(process.env["KILL_AT_STEP"]);
let armed = false;
let steps = 0;
process.on("SIGUSR2", () => {
  armed = true;
});

function step(): void {
  if (!armed) return;
  steps += 1;
  if (steps === killAt) process.kill(process.pid, "SIGKILL");
}

/** Puts a step before each call of these functions. */
function count(owner: Record<string, unknown>, names: readonly string[]): void {
  for (const name of names) {
    const original = owner[name];
    if (typeof original !== "function") throw new Error(`There is no ${name} to count.`);
    owner[name] = new Proxy(original, {
      apply: (target, self, args) => {
        step();
        return Reflect.apply(target, self, args);
      },
    });
  }
}

count(require("node:fs/promises"), ["mkdir", "writeFile", "rename", "chown", "chmod", "utimes", "rm", "rmdir"]);
count(require("node:fs"), ["mkdirSync", "openSync", "closeSync", "writeSync", "renameSync", "rmSync", "rmdirSync"]);
count(Object(Bun), ["spawn", "connect"]);

/** Calls of the C library that change something outside: mounts, and what is sent to the kernel and to D-Bus (linux/ffi.ts). */
const CHANGING = ["mount", "umount2", "mkdirat", "send", "sendmsg"];

const ffi: Record<string, unknown> = require("bun:ffi");
const { dlopen } = ffi;
if (typeof dlopen !== "function") throw new Error("There is no dlopen to count the calls of.");
ffi["dlopen"] = (...args: unknown[]): unknown => {
  const library = Object(Reflect.apply(dlopen, undefined, args));
  const symbols = { ...library.symbols };
  count(
    symbols,
    CHANGING.filter((name) => name in symbols),
  );
  return { ...library, symbols };
};
