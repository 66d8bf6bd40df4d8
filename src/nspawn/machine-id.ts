import { createHash } from "node:crypto";

/** Where a system keeps its machine ID (machine-id(5)). */
export const MACHINE_ID_PATH = "/etc/machine-id";

/**
 * The machine ID of a task's container: the same each time the task starts, and another one for each task of each allocation. Like IDs that
 * systemd makes, it is a UUID of version 4 by its form (machine-id(5)), because some programs check that.
 *
 * @returns 32 hexadecimal digits
 */
export function taskMachineId(taskName: string, allocId: string): string {
  const digest = createHash("sha256").update(`nomad-driver-nspawn machine-id\0${allocId}\0${taskName}`).digest();
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x40;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  return digest.toString("hex", 0, 16);
}

/** How a container gets its machine ID. */
export interface MachineId {
  /** 32 hexadecimal digits, for --uuid=: an image without an ID takes it on, as one that boots for the first time. */
  readonly id: string;
  /** A file with it on the host, if the image has an ID, which --uuid= does not replace. */
  readonly file?: string | undefined;
}

/**
 * Whether a file has an ID, valid or not, so that systemd-nspawn would use it or refuse to start. An empty file and "uninitialized" stand
 * for none (machine-id(5), id128_read_fd() of systemd).
 *
 * @param text "" if the image has no such file
 */
export function hasMachineId(text: string): boolean {
  return text !== "" && text.replace(/\n$/, "") !== "uninitialized";
}
