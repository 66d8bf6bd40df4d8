import { ptr } from "bun:ffi";
import { CAPABILITY_VERSION_3, PR_SET_NO_NEW_PRIVS } from "./constants";
import { check, libc } from "./ffi";
import { SYS } from "./syscalls";

/** Keeps only some capabilities (numbers of capabilities(7)) on this thread; execve gains no others. @throws CallError */
export function keepCapabilities(kept: readonly number[]): void {
  check("prctl", libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  const mask = kept.reduce((all, capability) => all | (1n << BigInt(capability)), 0n);
  const [low, high] = [Number(mask & 0xffff_ffffn), Number(mask >> 32n)];
  const header = Uint32Array.of(CAPABILITY_VERSION_3, 0);
  const sets = Uint32Array.of(low, low, 0, high, high, 0);
  check("capset", libc().syscall(SYS.capset, ptr(header), ptr(sets), 0, 0, 0));
}
