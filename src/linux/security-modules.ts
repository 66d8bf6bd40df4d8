import { existsSync } from "node:fs";
import { readIfThere } from "../lib/files";

/** Whether the host's kernel uses SELinux (selinuxfs is mounted; selinux(8)). */
export function hasSelinux(): boolean {
  return existsSync("/sys/fs/selinux/enforce");
}

/** Whether the host's kernel uses AppArmor (apparmor(7)). */
export function hasApparmor(): boolean {
  return readIfThere("/sys/module/apparmor/parameters/enabled")?.trim() === "Y";
}

/** The names of the AppArmor profiles that the kernel has; undefined if they cannot be read. */
export function apparmorProfiles(): readonly string[] | undefined {
  const text = readIfThere("/sys/kernel/security/apparmor/profiles");
  return text === undefined ? undefined : parseProfiles(text);
}

/** Parses lines such as "docker-default (enforce)". */
export function parseProfiles(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => /^(.+) \([a-z]+\)$/.exec(line)?.[1] ?? []);
}
