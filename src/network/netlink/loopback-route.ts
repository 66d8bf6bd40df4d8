import { routeProtocol } from "./links";
import { encodeAttributes, u32 } from "./message";
import { NetlinkSocket, unless } from "./socket";

/** The numbers below are of linux/rtnetlink.h. */
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const NLM_F_CREATE = 0x400;
const AF_INET6 = 10;
const RT_TABLE_LOCAL = 255;
const RTPROT_KERNEL = 2;
const RTN_LOCAL = 2;
const RTA_DST = 1;
const RTA_OIF = 4;

/** `local ::1 dev LINK`. It counts as the kernel's own, which systemd-networkd leaves alone on links that it manages. */
const header = Uint8Array.of(AF_INET6, 128, 0, 0, RT_TABLE_LOCAL, RTPROT_KERNEL, 0, RTN_LOCAL, 0, 0, 0, 0);
const loopback = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const attributes = (index: number) =>
  encodeAttributes([
    [RTA_DST, loopback],
    [RTA_OIF, u32(index)],
  ]);

/**
 * Has packets to ::1 taken that come by an interface and were not sent to ::1: answers whose destination was changed back by
 * connection tracking. Those that were are dropped before (ip6_rcv_core() of net/ipv6/ip6_input.c). IPv6 has no route_localnet;
 * that a route to ::1 has to be the interface's own is all that is in the way (rt6_need_strict() of net/ipv6/route.c).
 *
 * @throws NetlinkError where the interface is down, or has no IPv6
 */
export function addLoopbackRoute(index: number): void {
  using socket = new NetlinkSocket(routeProtocol);
  // Neither to replace that of another interface, nor to fail for it.
  const what = "A route to ::1 could not be added";
  unless("EEXIST", () => socket.request(what, RTM_NEWROUTE, NLM_F_CREATE, header, attributes(index)));
}

/** Takes addLoopbackRoute() back; does nothing where there is no such route. */
export function removeLoopbackRoute(index: number): void {
  using socket = new NetlinkSocket(routeProtocol);
  const what = "A route to ::1 could not be removed";
  unless("ESRCH", () => socket.request(what, RTM_DELROUTE, 0, header, attributes(index)));
}
