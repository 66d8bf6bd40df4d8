import { dlopen, FFIType } from "bun:ffi";
import { closeSync, constants, openSync } from "node:fs";

const CLONE_NEWNET = 0x4000_0000;

type Libc = ReturnType<typeof openLibc>;
let libc: Libc | undefined;

function openLibc() {
  return dlopen("libc.so.6", { setns: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } }).symbols;
}

/**
 * Does something in another network namespace (setns(2)): opens sockets, which stay in it, reads or writes /proc/sys/net, starts
 * a process. Only this thread goes there, and comes back before anything else is run in it, so `work` must not be async.
 *
 * @param path of the namespace: /proc/PID/ns/net, or where it is mounted
 * @throws Error where there is no such namespace
 */
export function inNetworkNamespace<Result>(path: string, work: () => Result): Result {
  libc ??= openLibc();
  const { setns } = libc;
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
  const own = openSync("/proc/thread-self/ns/net", constants.O_RDONLY);
  try {
    // The links below /proc are no symlinks to be followed by others' will, mounted files are none at all.
    const there = openSync(path, path.startsWith("/proc/") ? constants.O_RDONLY : flags);
    try {
      if (setns(there, CLONE_NEWNET) !== 0) {
        throw new Error(`${path} is no network namespace, or it cannot be joined: the driver must run as root.`);
      }
    } finally {
      closeSync(there);
    }
    try {
      return work();
    } finally {
      // With a descriptor of its own this cannot fail; if it did, nothing after it would be where it belongs.
      if (setns(own, CLONE_NEWNET) !== 0) process.abort();
    }
  } finally {
    closeSync(own);
  }
}
