import type { TarEntry } from "./tar-entry";
import type { ByteString } from "./tar-header";

/** The devices of every container, in the /dev that systemd-nspawn mounts over the image's, by Linux's numbers (devices.txt). */
const USUAL: Readonly<Record<ByteString, readonly [major: number, minor: number]>> = {
  "/dev/null": [1, 3],
  "/dev/zero": [1, 5],
  "/dev/full": [1, 7],
  "/dev/random": [1, 8],
  "/dev/urandom": [1, 9],
  "/dev/tty": [5, 0],
  "/dev/console": [5, 1],
  "/dev/ptmx": [5, 2],
};

/** Whether an entry is one of the devices that distributions' images contain from their installation, and that /dev hides anyway. */
export function isUsualDevice(path: ByteString, { kind, device }: Pick<TarEntry, "kind" | "device">): boolean {
  const numbers = Object.hasOwn(USUAL, path) ? USUAL[path] : undefined;
  return kind === "character device" && numbers?.[0] === device.major && numbers[1] === device.minor;
}
