import { ptr } from "bun:ffi";
import { libc } from "./ffi";
import { SYS } from "./syscalls";

/** bpf(2) with its attributes; returns its result, usually a descriptor, or undefined after an error. */
export function bpf(command: number, attributes: Uint8Array): number | undefined {
  const result = Number(libc().syscall(SYS.bpf, command, ptr(attributes), attributes.length, 0, 0));
  return result >= 0 ? result : undefined;
}

/** The address of a buffer, for attributes of a call; the caller keeps the buffer alive until the call returns. */
export function pointerTo(bytes: Uint8Array): bigint {
  return BigInt(ptr(bytes));
}
