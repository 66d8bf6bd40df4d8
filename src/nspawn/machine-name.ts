import { createHash } from "node:crypto";
import { hostnameProblem } from "../config/names";

/** Longest machine name: HOST_NAME_MAX, and what systemd-machined registers. */
const MAX_LENGTH = 64;

/** Hexadecimal digits of the hash: 48 bits, so that tasks of one allocation do not meet. */
const HASH_DIGITS = 12;

/**
 * The machine's name: `<task>-<allocation ID>` as upstream's driver has it where systemd accepts that, otherwise the
 * task's name made fit, a hash of both names, and the allocation ID. Always valid for systemd's hostname_is_valid(),
 * without "/", at most 64 characters, and the same for the same task.
 */
export function machineName(taskName: string, allocId: string): string {
  const name = `${taskName}-${allocId}`;
  if (hostnameProblem(name) === undefined) return name;
  const hash = createHash("sha256").update(`${taskName}\0${allocId}`).digest("hex").slice(0, HASH_DIGITS);
  const tail = allocId.length <= 36 && hostnameProblem(allocId) === undefined ? `${hash}-${allocId}` : hash;
  const head = fit(taskName)
    .slice(0, MAX_LENGTH - tail.length - 1)
    .replace(/-+$/, "");
  return head === "" ? tail : `${head}-${tail}`;
}

/** Letters and digits of a name, with one hyphen for whatever lies between. */
function fit(name: string): string {
  return name.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
}
