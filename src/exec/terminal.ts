import { closeSync, constants, fchmodSync, fchownSync, openSync } from "node:fs";
import { duplicate, setTerminalSize, terminalOf } from "../host/libc";
import type { Found } from "./look-program";
import { EnterError } from "./session-plan";

/** A terminal of a container's own devpts, with its master. */
export interface Terminal {
  /** The terminal, for the command. */
  readonly terminal: number;
  /** Two descriptors of its master: a reader and a writer have to have their own. */
  readonly reader: number;
  readonly writer: number;
}

/** Where a container has the device of which new terminals are made. */
export const PTMX = "/dev/pts/ptmx";
/** S_IFCHR, the device's number (5, 2) as the kernel packs it, and the type of devpts (linux/magic.h). */
const CHARACTER_DEVICE = 0o020000;
const PTMX_DEVICE = 0x502;
const DEVPTS = 0x1cd1;
/** What login programs give a terminal: nobody else may write to it. */
const TERMINAL_MODE = 0o600;

/**
 * Opens the master of a new terminal in a container.
 *
 * @param found what is at {@link PTMX} in the container. Only a devpts is ever opened: it is the kernel's own, and never waits
 * @param path by which it can be opened
 * @throws EnterError where the container has no devpts, or no terminal left
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
 * Makes a master's terminal one of a user, where `tty` and other programs that open it by name find it. The master belongs to it from
 * now on.
 *
 * @param uid of the user, and `gid` of its group, on the host
 * @throws EnterError where there are no descriptors left
 */
export function openTerminal(reader: number, uid: number, gid: number): Terminal {
  const held = [reader];
  const hold = (fd: number | undefined): number => {
    if (fd === undefined) throw noTerminal();
    held.push(fd);
    return fd;
  };
  try {
    const writer = hold(duplicate(reader));
    const terminal = hold(terminalOf(reader));
    fchownSync(terminal, uid, gid);
    fchmodSync(terminal, TERMINAL_MODE);
    // What a terminal has of old, until its user's window is known.
    setTerminalSize(reader, 24, 80);
    return { terminal, reader, writer };
  } catch (error) {
    for (const fd of held) closeSync(fd);
    throw error;
  }
}

function noTerminal(): EnterError {
  return new EnterError(
    `No terminal could be opened in the task's container (${PTMX}): try it without one (-t=false).`,
  );
}
