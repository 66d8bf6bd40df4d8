import { closeSync, constants, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { errnoCode, ifThere, StoreError } from "../lib/errors";
import { readIfThere } from "../lib/files";
import { isSameFile, tryRecordLock } from "../linux/flock";
import { readRangeNote, removeRangeNote, writeRangeNote } from "../machine/files";
import { candidateRanges } from "../values/private-users";

/** systemd-nspawn's locks of ID ranges, one file per range (nspawn.c, uid_shift_pick()). */
const RANGE_LOCKS = "/run/systemd/nspawn-uid";

/** A range of user IDs whose lock this process holds. */
interface HeldRange {
  readonly path: string;
  readonly fd: number;
}

/**
 * The ranges of user IDs of containers whose roots the driver makes. systemd-nspawn could pick them, but when it does (`--private-users=pick`)
 * it holds the host's lock of /etc/passwd from its start until the container is registered (nspawn.c, run_container()), so that containers
 * start one after the other. The driver therefore picks them itself and holds the same lock of the range as systemd-nspawn would. The lock's
 * file stays while no plugin runs, and is enough to keep other plugins from the range.
 */
export class IdRanges {
  readonly #held = new Map<string, HeldRange>();

  /** @param directory of the lock files; tests use another one */
  constructor(private readonly directory = RANGE_LOCKS) {}

  /**
   * Picks an unused range for a machine that has files: the same one each time, if it is free. The machine's note of it is written first,
   * so that release() finds what a killed plugin picked.
   *
   * @returns the first ID
   * @throws StoreError if no range is free, LaunchError if /run cannot be written
   */
  async pick(machine: string): Promise<number> {
    mkdirSync(this.directory, { recursive: true, mode: 0o755 });
    for (const first of candidateRanges(machine)) {
      writeRangeNote(machine, first);
      const fd = ifFree(() => openSync(this.#path(first), NEW_LOCK, LOCK_MODE));
      if (fd !== undefined && this.#hold(machine, first, fd)) return first;
    }
    throw new StoreError("This client has no user IDs left for another container with user namespaces.", {
      recoverable: true,
    });
  }

  /** Holds the range of a recovered machine; false if another process does. A machine without a picked range needs none. */
  async recover(machine: string): Promise<boolean> {
    const first = readRangeNote(machine);
    if (first === undefined || this.#held.has(machine)) return true;
    mkdirSync(this.directory, { recursive: true, mode: 0o755 });
    return this.#hold(machine, first, openSync(this.#path(first), LOCK, LOCK_MODE));
  }

  /** Gives the range of a machine back. Idempotent. */
  async release(machine: string): Promise<void> {
    const first = readRangeNote(machine);
    if (first === undefined) return;
    if (!this.#held.has(machine)) {
      const fd = ifThere(() => openSync(this.#path(first), constants.O_RDWR | constants.O_NOFOLLOW), undefined);
      if (fd !== undefined) this.#hold(machine, first, fd);
    }
    const held = this.#held.get(machine);
    if (held !== undefined) {
      rmSync(held.path, { force: true });
      closeSync(held.fd);
      this.#held.delete(machine);
    } else if (readIfThere(this.#path(first)) === machine) {
      // An earlier plugin process still holds it, but the container that it was for is gone.
      rmSync(this.#path(first), { force: true });
    }
    removeRangeNote(machine);
  }

  #path(first: number): string {
    return `${this.directory}/${first}`;
  }

  /** Takes the lock for a machine, whose name becomes the file's content, and ownership of the descriptor; false, with the descriptor closed, if another process has the range. */
  #hold(machine: string, first: number, fd: number): boolean {
    const path = this.#path(first);
    if (tryRecordLock(fd) && isSameFile(path, fd)) {
      writeSync(fd, machine, 0);
      this.#held.set(machine, { path, fd });
      return true;
    }
    closeSync(fd);
    return false;
  }
}

const LOCK = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
const NEW_LOCK = LOCK | constants.O_EXCL;
const LOCK_MODE = 0o600;

function ifFree(open: () => number): number | undefined {
  try {
    return open();
  } catch (error) {
    if (errnoCode(error) === "EEXIST") return undefined;
    throw error;
  }
}
