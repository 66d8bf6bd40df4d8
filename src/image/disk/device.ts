import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readAt } from "../../linux/read-range";

/** Reads a device; fewer bytes than asked for at its end. */
export type ReadDevice = (position: number, length: number) => Promise<Buffer>;

/**
 * Opens a block device for reading.
 *
 * @param numbers as in mountinfo, such as "7:1"
 * @returns undefined for a file system without a device
 */
export async function openDevice(numbers: string): Promise<(Disposable & { readonly read: ReadDevice }) | undefined> {
  const uevent = await readFile(`/sys/dev/block/${numbers}/uevent`, "utf8");
  const [, name] = /^DEVNAME=(.+)$/m.exec(uevent) ?? [];
  if (name === undefined) return undefined;
  const fd = openSync(join("/dev", name), "r");
  return {
    read: (position, length) => readAt(fd, position, length),
    [Symbol.dispose]: () => closeSync(fd),
  };
}
