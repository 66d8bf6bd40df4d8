import { ptr } from "bun:ffi";
import { SYS } from "./constants";
import { libc } from "./ffi";

/** _IOWR(0xFF, 11, struct pidfd_info) with the structure's first published size, 64 bytes (linux/pidfd.h). */
const PIDFD_GET_INFO = 0xc040ff0b;
const PIDFD_INFO_SIZE = 64;
const PIDFD_INFO_EXIT = 1n << 3n;
const PIDFD_INFO_EXIT_CODE_OFFSET = 60;

/** A pidfd: it keeps referring to this process when the PID is reused; undefined if no such process exists. */
export function openPidfd(pid: number): number | undefined {
  const fd = Number(libc().syscall(SYS.pidfd_open, pid, 0, 0, 0, 0));
  return fd >= 0 ? fd : undefined;
}

/** Sends a signal through a pidfd; false if the process is gone. */
export function signalPidfd(pidfd: number, signal: number): boolean {
  return Number(libc().syscall(SYS.pidfd_send_signal, pidfd, signal, 0, 0, 0)) === 0;
}

/**
 * The wait status of a process that was reaped by its parent, from a pidfd opened while it lived.
 * Undefined on Linux before 6.15, and while the process is not reaped.
 */
export function exitStatusOfPidfd(pidfd: number): number | undefined {
  const info = new DataView(new ArrayBuffer(PIDFD_INFO_SIZE));
  info.setBigUint64(0, PIDFD_INFO_EXIT, true);
  if (libc().ioctl(pidfd, PIDFD_GET_INFO, ptr(info)) !== 0) return undefined;
  if ((info.getBigUint64(0, true) & PIDFD_INFO_EXIT) === 0n) return undefined;
  return info.getInt32(PIDFD_INFO_EXIT_CODE_OFFSET, true);
}

/** How a process ended: its exit code, or the signal that killed it; the other is 0. */
export interface ProcessEnd {
  readonly code: number;
  readonly signal: number;
}

/** The parts of a wait status (wait(2)). */
export function decodeWaitStatus(status: number): ProcessEnd {
  const signal = status & 0x7f;
  return signal === 0 ? { code: (status >> 8) & 0xff, signal: 0 } : { code: 0, signal };
}
