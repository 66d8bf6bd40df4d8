import { closeSync, writeFileSync } from "node:fs";
import { cString, libc } from "../ffi";

/** Descriptors for a program's standard streams and further ones, in order; "ignore" is /dev/null. */
export type Descriptors = readonly [number | "ignore", number | "pipe", number | "ignore", ...number[]];

/** Runs an executable that exists in memory only, with the given descriptors and an empty environment. @param name shown by ps(1) */
export function runProgram(name: string, executable: Uint8Array, descriptors: Descriptors) {
  using open = new DisposableStack();
  const file = open.adopt(memoryFile(name, executable), closeSync);
  const path = `/proc/${process.pid}/fd/${file}`;
  const child = Bun.spawn([path], { argv0: name, cwd: "/", env: {}, stdio: [...descriptors] });
  // A running program keeps its file in any case, so this costs only a descriptor; and under qemu-user, whose vfork(2) does not wait for
  // the child's execve(2), the file would be gone before.
  const kept = open.move();
  void child.exited.finally(() => kept.dispose());
  return child;
}

const MFD_CLOEXEC = 1;
const MFD_EXEC = 0x10;

/**
 * An executable file in memory, as a descriptor that no child inherits.
 *
 * @throws Error if the host has no memory or descriptors left, or forbids it (sysctl vm.memfd_noexec)
 */
function memoryFile(name: string, content: Uint8Array): number {
  // Kernels before 6.3 do not know MFD_EXEC and do not need it.
  const create = (flags: number) => libc().memfd_create(cString(name), MFD_CLOEXEC | flags);
  let fd = create(MFD_EXEC);
  if (fd < 0) fd = create(0);
  if (fd < 0) throw new Error("Cannot create a file in memory: see `ulimit -n` and the sysctl vm.memfd_noexec.");
  using open = new DisposableStack();
  open.adopt(fd, closeSync);
  writeFileSync(fd, content);
  open.move();
  return fd;
}
