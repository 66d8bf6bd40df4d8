import { encodeAttributes, text } from "./message";
import { NETLINK, NetlinkError, NetlinkSocket, openEvents } from "./socket";

/** The numbers below are of linux/netfilter/nfnetlink.h and nf_tables.h. */
const NFTABLES = 10 << 8;
const NFT_MSG_GETTABLE = 1;
const NFTA_TABLE_NAME = 1;
const NFPROTO_INET = 1;
/** NFNLGRP_NFTABLES, the group of number 7, as a bit. */
const CHANGES = 1 << 6;

/** Whether nftables has a table of the inet family with that name in this network namespace. */
export function hasTable(name: string): boolean {
  using socket = new NetlinkSocket(NETLINK.netfilter);
  const header = Uint8Array.of(NFPROTO_INET, 0, 0, 0);
  try {
    socket.request(
      `Cannot look up the nftables table ${name}`,
      NFTABLES | NFT_MSG_GETTABLE,
      0,
      header,
      encodeAttributes([[NFTA_TABLE_NAME, text(name)]]),
    );
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "ENOENT") return false;
    throw error;
  }
}

/** A descriptor that receives notifications of changes of this network namespace's nftables (see openEvents()). */
export function openTableEvents(): number {
  return openEvents(NETLINK.netfilter, CHANGES);
}
