import { closeSync, fchmodSync, fchownSync } from "node:fs";
import { duplicate, openInRoot, setTerminalSize, terminalOf } from "../host/libc";
import type { Container } from "./container";
import { EnterError } from "./session-plan";

/** A terminal of a container's own devpts, with its master. */
export interface Terminal {
  /** The terminal, for the command. */
  readonly terminal: number;
  /** Two descriptors of its master: a reader and a writer have to have their own. */
  readonly reader: number;
  readonly writer: number;
}

const PTMX = "dev/pts/ptmx";
const O_RDWR = 2;
const O_NOCTTY = 0o400;
/** What login programs give a terminal: nobody else may write to it. */
const TERMINAL_MODE = 0o600;

/**
 * Opens a new terminal in a container, where `tty` and whoever opens it by name find it, and gives it to a user.
 *
 * @param uid of the user, and `gid` of its group, on the host
 * @throws EnterError where the container has no devpts, or no terminal left
 */
export function openTerminal({ root }: Container, uid: number, gid: number): Terminal {
  const held: number[] = [];
  const hold = (fd: number | undefined): number => {
    if (fd === undefined) {
      throw new EnterError(
        `No terminal could be opened in the task's container (/${PTMX}): try it without one (-t=false).`,
      );
    }
    held.push(fd);
    return fd;
  };
  try {
    const reader = hold(openInRoot(root, PTMX, O_RDWR | O_NOCTTY));
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
