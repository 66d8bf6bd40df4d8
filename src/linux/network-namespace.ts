import { closeSync, constants, openSync } from "node:fs";
import { CLONE_NEW } from "./constants";
import { libc } from "./ffi";

/**
 * Runs `work` in another network namespace (setns(2)): it can open sockets, which stay in it, read or write /proc/sys/net, or start
 * a process. Only this thread enters the namespace, and returns before any other code runs on it, so `work` must not be async.
 *
 * @param path of the namespace: /proc/PID/ns/net, or its mount point
 * @throws Error if the namespace does not exist
 */
export function inNetworkNamespace<Result>(path: string, work: () => Result): Result {
  const { setns } = libc();
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
  using open = new DisposableStack();
  const own = open.adopt(openSync("/proc/thread-self/ns/net", constants.O_RDONLY), closeSync);
  // Links below /proc are kernel links, not symlinks that a user could redirect; mounted namespace files are not links.
  const there = open.adopt(openSync(path, path.startsWith("/proc/") ? constants.O_RDONLY : flags), closeSync);
  if (setns(there, CLONE_NEW.net) !== 0) {
    throw new Error(`Cannot join the network namespace ${path}: it is not one, or the driver does not run as root.`);
  }
  try {
    return work();
  } finally {
    // With its own descriptor this cannot fail; if it did, all later work would run in the wrong namespace.
    if (setns(own, CLONE_NEW.net) !== 0) process.abort();
  }
}
