import type { FileLock } from "../linux/flock";
import { shareImage } from "../nspawn/image-lock";

/**
 * The locks of disk images that containers of this process show. They keep a systemd-nspawn that could write to an image from it, whether
 * the driver or an operator starts it; between the end of a plugin and the recovery of its tasks nothing does.
 */
export class ImageShares {
  readonly #held = new Map<string, FileLock>();

  /** Takes a shared lock of an image for a machine; false if a container that may write to it has the lock. */
  hold(machine: string, path: string): boolean {
    const lock = shareImage(path);
    if (lock === undefined) return false;
    this.release(machine);
    this.#held.set(machine, lock);
    return true;
  }

  /** Gives the lock of a machine back, if it has one. */
  release(machine: string): void {
    this.#held.get(machine)?.[Symbol.dispose]();
    this.#held.delete(machine);
  }
}
