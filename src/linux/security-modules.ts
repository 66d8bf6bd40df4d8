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

/**
 * The AppArmor profile of a process, if this process has another one: a change to it needs no rule in the policy then, because only an
 * unconfined process starts a confined one.
 *
 * @returns undefined also if the kernel has no AppArmor
 */
export function foreignProfile(pid: number): string | undefined {
  const [profile, own] = [profileOf(pid), profileOf("self")];
  return profile === own ? undefined : profile;
}

function profileOf(pid: number | "self"): string | undefined {
  // Before Linux 5.8 AppArmor has only the file that all security modules share.
  const text = readIfThere(`/proc/${pid}/attr/apparmor/current`, ["EINVAL"]);
  if (text !== undefined) return parseConfinement(text);
  return hasApparmor() ? parseConfinement(readIfThere(`/proc/${pid}/attr/current`, ["EINVAL"]) ?? "") : undefined;
}

/**
 * The profile in the content of /proc/PID/attr/apparmor/current, such as "docker-default (enforce)" (apparmor(7)); undefined for
 * "unconfined".
 */
export function parseConfinement(text: string): string | undefined {
  const [, profile, mode] = /^([^\0\n]+?)(?: \(([a-z]+)\))?[\0\n]*$/.exec(text) ?? [];
  return profile === "unconfined" || mode === "unconfined" ? undefined : profile;
}
