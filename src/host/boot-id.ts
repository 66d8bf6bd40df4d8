import { readFileSync } from "node:fs";

/** The id of the host's current boot; it changes with every reboot. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
