import { RateLimit } from "../../lib/rate-limit";
import { readFd } from "../fd-stream";
import { inNetworkNamespace } from "../network-namespace";
import { openTableEvents } from "./netfilter";
import { NETLINK, openEvents } from "./socket";

/** RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR (linux/rtnetlink.h). */
const GROUPS = 0x1 | 0x10 | 0x100;

/** How often changes are processed: a container may change its addresses without end, and must not delay others. */
const limits = { burst: 20, perSecond: 2 } as const;

/**
 * Calls `changed` after the links or addresses of a network namespace have changed, once for changes in quick succession, and
 * at most twice a second for endless changes, or less often if processing takes long. The
 * namespace exists for as long as it is watched.
 *
 * @param namespace a path as inNetworkNamespace() takes it; undefined for the host's
 * @returns stops watching
 */
export function watchNetwork(namespace: string | undefined, changed: () => void): () => void {
  const open = () => openEvents(NETLINK.route, GROUPS);
  return watchEvents(namespace === undefined ? open : () => inNetworkNamespace(namespace, open), changed);
}

/** Calls `changed` after the host's nftables were changed by any program, once for changes in quick succession. @returns stops watching */
export function watchTables(changed: () => void): () => void {
  return watchEvents(openTableEvents, changed);
}

function watchEvents(open: () => number, changed: () => void): () => void {
  let stopped = false;
  let reader = readFd(open());
  const pace = new RateLimit(limits);
  const follow = async () => {
    while (!stopped) {
      try {
        if ((await reader.next()) === undefined) return;
      } catch {
        // The kernel dropped notifications (ENOBUFS); the current state can still be read.
        await reader.close();
        if (stopped) return;
        reader = readFd(open());
      }
      // Further changes wait in the socket, or overflow it.
      if (!stopped) await pace.work(changed);
    }
  };
  void follow().catch(() => {
    // The namespace is gone; nothing is left to watch.
  });
  return () => {
    stopped = true;
    void reader.close();
  };
}
