import { ptr } from "bun:ffi";
import { constants } from "node:fs";
import { O_CLOEXEC } from "./constants";
import { libc } from "./ffi";
import { SYS } from "./syscalls";

const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
const TIOCSWINSZ = 0x5414;
const TERMINAL_FLAGS = constants.O_RDWR | constants.O_NOCTTY | O_CLOEXEC;

/** The terminal of a pseudoterminal master (ioctl_tty(2), TIOCGPTPEER); undefined if it has none. */
export function terminalOf(master: number): number | undefined {
  const locked = new Int32Array([0]);
  if (libc().ioctl(master, TIOCSPTLCK, ptr(locked)) !== 0) return undefined;
  const fd = Number(libc().syscall(SYS.ioctl, master, TIOCGPTPEER, TERMINAL_FLAGS, 0, 0));
  return fd >= 0 ? fd : undefined;
}

/** Sets the window size of a terminal, in characters (ioctl_tty(2), TIOCSWINSZ). */
export function setTerminalSize(fd: number, rows: number, columns: number): void {
  libc().ioctl(fd, TIOCSWINSZ, ptr(Uint16Array.of(rows, columns, 0, 0)));
}
