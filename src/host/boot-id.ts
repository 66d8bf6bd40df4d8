import { readFileSync } from "node:fs";

/** The id of the host's current boot: after a reboot it is another one. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
