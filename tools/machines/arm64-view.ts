/**
 * A view of this machine in which executables for arm64 run, by emulation: in a user namespace, which since Linux 6.7 has its own list of
 * emulators (the kernel's fs/binfmt_misc.c), so that nothing changes for other processes. Its only user is root, without rights on the
 * machine.
 */

import type { Arm64Emulator } from "../images/arm64";

/** The beginning of an arm64 executable, of which the byte for the operating system's ABI and the kind of executable vary (elf(5)). */
const MAGIC = "\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00";
const MASK = "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff";
/**
 * The emulator is opened now, so that containers need not have it (F); it gets the executable as a descriptor, because that may be a file
 * in memory only (O); and it leaves argv[0] as it is (P).
 */
const FLAGS = "OFP";

const REGISTER = `
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf '%s' "$1" > /proc/sys/fs/binfmt_misc/register
shift
exec "$@"
`;

/** The command that registers the emulator, in this namespace, and then runs another one. Needs root. */
export function withEmulator({ program, root }: Arm64Emulator, argv: readonly string[]): readonly string[] {
  const registration = `:arm64:M::${MAGIC}:${MASK}:${program}:${FLAGS}`;
  return ["sh", "-ec", REGISTER, "sh", registration, "env", `QEMU_LD_PREFIX=${root}`, ...argv];
}

/** The command that runs another one in such a view. */
export function inArm64View(emulator: Arm64Emulator, argv: readonly string[]): readonly string[] {
  return ["unshare", "--user", "--map-root-user", "--mount", ...withEmulator(emulator, argv)];
}
