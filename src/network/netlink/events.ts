import { readFd } from "../../exec/fd-streams";
import { inNetworkNamespace } from "../../host/network-namespace";
import { Pace } from "../../host/pace";
import { routeProtocol } from "./links";
import { openEvents } from "./socket";
import { openTableEvents } from "./tables";

/** RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR (linux/rtnetlink.h). */
const groups = 0x1 | 0x10 | 0x100;

/** How often is looked at what changed: a container may change its addresses without end, and others are not to wait for it. */
const limits = { burst: 20, perSecond: 2 } as const;

/**
 * Calls `changed` after the links or addresses of a network namespace have changed, once for changes that come together, and
 * twice a second, or less often where it takes long, for changes without end. The
 * namespace exists for as long as it is watched.
 *
 * @param namespace a path as inNetworkNamespace() takes it; undefined for the host's
 * @returns stops watching
 */
export function watchNetwork(namespace: string | undefined, changed: () => void): () => void {
  const open = () => openEvents(routeProtocol, groups);
  return watchEvents(namespace === undefined ? open : () => inNetworkNamespace(namespace, open), changed);
}

/**
 * Calls `changed` after the host's nftables have changed, whoever did it, once for changes that come together.
 *
 * @returns stops watching
 */
export function watchTables(changed: () => void): () => void {
  return watchEvents(openTableEvents, changed);
}

function watchEvents(open: () => number, changed: () => void): () => void {
  let stopped = false;
  let reader = readFd(open());
  const pace = new Pace(limits);
  const follow = async () => {
    while (!stopped) {
      try {
        if ((await reader.next()) === undefined) return;
      } catch {
        // More has changed than the kernel keeps in mind (ENOBUFS): what it is now can still be seen.
        await reader.close();
        if (stopped) return;
        reader = readFd(open());
      }
      // What changes meanwhile waits in the socket, or is too much for it.
      if (!stopped) await pace.work(changed);
    }
  };
  void follow().catch(() => {
    // The namespace is gone, and there is nothing to watch.
  });
  return () => {
    stopped = true;
    void reader.close();
  };
}
