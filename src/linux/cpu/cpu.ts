/**
 * What depends on the CPU: numbers of system calls, the machine code of the small programs of syscall-program, the marks of executables,
 * and what a filter of system calls compares. Everything else that this driver uses of the kernel is the same on both CPUs: structures of
 * 64-bit little-endian machines, numbers of ioctl(2) and prctl(2), and the flags of open(2) are the runtime's own (node:fs).
 */

import type { SystemCalls } from "./calls";

/** A kind of CPU that this driver runs on. The name is Go's (GOARCH), which images and Debian use too. */
export interface Cpu {
  readonly name: "amd64" | "arm64";
  /** e_machine of its executables (elf(5)). */
  readonly machine: number;
  /** The largest page in bytes that a kernel for it may have: segments of an executable are placed by it. */
  readonly page: number;
  readonly calls: SystemCalls;
  readonly filters: FilterNumbers;
  readonly code: ProgramCode;
}

/** What a seccomp filter compares (seccomp(2), "struct seccomp_data"). */
export interface FilterNumbers {
  readonly own: FilterAbi;
  /** The ABI for programs of 32 bits, which the same kernel runs. */
  readonly narrow: FilterAbi;
}

/** An ABI of system calls. */
export interface FilterAbi {
  /** AUDIT_ARCH_* of linux/audit.h. */
  readonly architecture: number;
  /** What the calls' numbers are masked with before they are compared; undefined for nothing. */
  readonly mask: number | undefined;
  /** The numbers of socket(2) and socketpair(2), whose first argument is the address family. */
  readonly sockets: readonly number[];
  /** The number of socketcall(2), which has it in memory, where a filter cannot look; undefined if the ABI lacks it. */
  readonly socketcall: number | undefined;
}

/** Machine code of the programs of syscall-program, in the order in which a program has it. */
export interface ProgramCode {
  /** Copies the program's environment from its stack into an array of addresses: at most `others` variables, without `dropped`. */
  copyEnvironment(into: number, others: number, dropped: DroppedVariable | undefined): readonly number[];
  /** Stores the address of the program's second argument at an address. */
  storeArguments(at: number): readonly number[];
  /** Stores the address of its environment, as it got it. */
  storeEnvironment(at: number): readonly number[];
  /** Stores a number. */
  storeNumber(value: number, at: number): readonly number[];
  /** The loop that makes the calls of a table, from its first entry (builder.ts has its layout). It does not end. */
  loop(table: number): readonly number[];
}

/** A variable that is left out, recognized by the first and the last eight bytes of "NAME=". */
export interface DroppedVariable {
  readonly first: Uint8Array;
  readonly last: Uint8Array;
  /** Where the last eight bytes begin, 1 to 8. */
  readonly offset: number;
}
