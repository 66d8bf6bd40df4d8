/** The kernel's constants that several files need and Node's API lacks: the same on every CPU that this driver runs on, but for SYS. */

import type { SystemCalls } from "./cpu/calls";
import { CPU } from "./cpu/this-cpu";

/** open(2): a descriptor that only says where a file is. */
export const O_PATH = 0o10000000;
/** open(2): no program that is executed later inherits the descriptor. Node sets it on its own descriptors. */
export const O_CLOEXEC = 0o2000000;
/** openat(2): relative to the working directory. */
export const AT_FDCWD = -100;
/** With an empty path, the call is about the descriptor itself. */
export const AT_EMPTY_PATH = 0x1000;

/** Flags of openat2(2). */
export const RESOLVE = { noMagicLinks: 0x02, noSymlinks: 0x04, inRoot: 0x10 } as const;

/** Address families (socket(2)). */
export const AF = { unix: 1, inet: 2, inet6: 10, netlink: 16, packet: 17 } as const;
/** The address family of IPv4 and IPv6. */
export const AF_OF_IP = { 4: AF.inet, 6: AF.inet6 } as const;
/** Socket types and their flags (socket(2)). */
export const SOCK = { dgram: 2, raw: 3, nonblock: 0o4000, cloexec: O_CLOEXEC } as const;
/** The level of a socket's own options and messages (socket(7)). */
export const SOL_SOCKET = 1;

/** CLONE_NEW* flags by names in /proc/PID/ns (namespaces(7)). */
export const CLONE_NEW = {
  user: 0x1000_0000,
  mnt: 0x2_0000,
  pid: 0x2000_0000,
  net: 0x4000_0000,
  uts: 0x400_0000,
  ipc: 0x800_0000,
  cgroup: 0x200_0000,
} as const;

/** __WALL of wait4(2): also children that do not report their end by SIGCHLD. */
export const WAIT_ALL = 0x4000_0000;

/** _LINUX_CAPABILITY_VERSION_3 (linux/capability.h): 64 capabilities. */
export const CAPABILITY_VERSION_3 = 0x2008_0522;
/** Operations of prctl(2). */
export const PR_SET_PDEATHSIG = 1;
export const PR_CAPBSET_DROP = 24;
export const PR_SET_NO_NEW_PRIVS = 38;

/** The system call numbers of this machine's CPU. */
export const SYS: SystemCalls = CPU.calls;

/** The attribute of a directory of an overlayfs layer that hides everything below it (the kernel's documentation, overlayfs.rst). */
export const OVERLAY_OPAQUE = "trusted.overlay.opaque";
