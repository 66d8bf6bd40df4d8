import { closeSync, constants, fchmodSync, fchownSync, openSync } from "node:fs";
import { duplicate, setTerminalSize, terminalOf } from "../host/libc";
import type { Found } from "./look-program";
import { EnterError } from "./session-plan";

/** A terminal of a container's own devpts, and its master. */
export interface Terminal {
  /** The terminal, for the command. */
  readonly terminal: number;
  /** Two descriptors of its master: the reader and the writer each need their own. */
  readonly reader: number;
  readonly writer: number;
}

/** The path of a container's device that creates new terminals. */
export const PTMX = "/dev/pts/ptmx";
/** S_IFCHR, the device number (5, 2) as packed by the kernel, and the type of devpts (linux/magic.h). */
const CHARACTER_DEVICE = 0o020000;
const PTMX_DEVICE = 0x502;
const DEVPTS = 0x1cd1;
/** The mode that login programs give a terminal: no other user may write to it. */
const TERMINAL_MODE = 0o600;

/**
 * Opens the master of a new terminal in a container.
 *
 * @param found what exists at {@link PTMX} in the container. Only a devpts is ever opened: it is the kernel's own, and never blocks
 * @param path by which it can be opened
 * @throws EnterError if the container has no devpts, or no terminals left
 */
export function openMaster(found: Found | undefined, path: string): number {
  const right = found?.kind === CHARACTER_DEVICE && found.device === PTMX_DEVICE && found.fileSystem === DEVPTS;
  if (!right) throw noTerminal();
  try {
    return openSync(path, constants.O_RDWR | constants.O_NOCTTY);
  } catch {
    throw noTerminal();
  }
}

/**
 * Gives a master's terminal to a user, in a container where `tty` and other programs that open it by name find it. Takes ownership of
 * the master.
 *
 * @param uid of the user, and `gid` of its group, on the host
 * @throws EnterError if no descriptors are left
 */
export function openTerminal(reader: number, uid: number, gid: number): Terminal {
  const held = [reader];
  const keep = (fd: number | undefined): number => {
    if (fd === undefined) throw noTerminal();
    held.push(fd);
    return fd;
  };
  try {
    const writer = keep(duplicate(reader));
    const terminal = keep(terminalOf(reader));
    fchownSync(terminal, uid, gid);
    fchmodSync(terminal, TERMINAL_MODE);
    // The traditional default size, until the client's window size is known.
    setTerminalSize(reader, 24, 80);
    return { terminal, reader, writer };
  } catch (error) {
    for (const fd of held) closeSync(fd);
    throw error;
  }
}

function noTerminal(): EnterError {
  return new EnterError(`Cannot open a terminal in the task's container (${PTMX}): try without one (-t=false).`);
}
