import { createHash } from "node:crypto";
import { hostnameProblem } from "../values/names";

/** Longest machine name: HOST_NAME_MAX, which is also systemd-machined's limit. */
const MAX_LENGTH = 64;

/** Hexadecimal digits of the hash: 48 bits, so that tasks of one allocation do not collide. */
const HASH_DIGITS = 12;

/**
 * The machine's name: `<task>-<allocation ID>` as in the Go driver if systemd accepts it, otherwise the sanitized
 * task name, a hash of both names, and the allocation ID. It is always valid for systemd's hostname_is_valid(),
 * without "/", at most 64 characters, and the same for the same task.
 */
export function machineName(taskName: string, allocId: string): string {
  const name = `${taskName}-${allocId}`;
  if (hostnameProblem(name) === undefined) return name;
  const hash = createHash("sha256").update(`${taskName}\0${allocId}`).digest("hex").slice(0, HASH_DIGITS);
  const tail = allocId.length <= 36 && hostnameProblem(allocId) === undefined ? `${hash}-${allocId}` : hash;
  const head = sanitize(taskName)
    .slice(0, MAX_LENGTH - tail.length - 1)
    .replace(/-+$/, "");
  return head === "" ? tail : `${head}-${tail}`;
}

/** A name with every sequence of other characters than letters and digits replaced by one hyphen. */
function sanitize(name: string): string {
  return name.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
}
