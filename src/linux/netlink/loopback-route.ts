import { unless } from "../../lib/errors";
import { AF } from "../constants";
import { encodeAttributes, u32 } from "./message";
import { RTA_DST, RTA_OIF, RTM_NEWROUTE } from "./route";
import { NETLINK, NetlinkSocket, NLM_F_CREATE } from "./socket";

/** The numbers below are of linux/rtnetlink.h. */
const RTM_DELROUTE = 25;
const RT_TABLE_LOCAL = 255;
const RTPROT_KERNEL = 2;
const RTN_LOCAL = 2;

/** `local ::1 dev LINK`. It looks like a kernel route, which systemd-networkd leaves alone on links that it manages. */
const header = Uint8Array.of(AF.inet6, 128, 0, 0, RT_TABLE_LOCAL, RTPROT_KERNEL, 0, RTN_LOCAL, 0, 0, 0, 0);
const loopback = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const attributes = (index: number) =>
  encodeAttributes([
    [RTA_DST, loopback],
    [RTA_OIF, u32(index)],
  ]);

/**
 * Makes the host accept packets to ::1 that arrive on an interface and were not sent to ::1: answers whose destination was restored by
 * connection tracking. Packets sent to ::1 are dropped earlier (ip6_rcv_core() of net/ipv6/ip6_input.c). IPv6 has no route_localnet;
 * the only obstacle is that the route to ::1 has to be the interface's own (rt6_need_strict() of net/ipv6/route.c).
 *
 * @throws NetlinkError if the interface is down, or has no IPv6
 */
export function addLoopbackRoute(index: number): void {
  using socket = new NetlinkSocket(NETLINK.route);
  // Neither replaces another interface's route, nor fails because of it.
  const what = "Cannot add a route to ::1";
  unless("EEXIST", () => socket.request(what, RTM_NEWROUTE, NLM_F_CREATE, header, attributes(index)));
}

/** Reverts addLoopbackRoute(); does nothing if no such route exists. */
export function removeLoopbackRoute(index: number): void {
  using socket = new NetlinkSocket(NETLINK.route);
  const what = "Cannot remove a route to ::1";
  unless("ESRCH", () => socket.request(what, RTM_DELROUTE, 0, header, attributes(index)));
}
