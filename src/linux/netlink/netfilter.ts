import { unless } from "../../lib/errors";
import { addressOfBytes, formatAddress } from "../../values/ip";
import { AF_OF_IP } from "../constants";
import { type Attributes, decodeAttributes, encodeAttributes, text } from "./message";
import { NETLINK, NetlinkError, NetlinkSocket, openEvents } from "./socket";

/** The numbers below are of linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h. */
const CONNECTION_TRACKING = 1 << 8;
const CT_NEW = 0;
const CT_GET = 1;
const CT_DELETE = 2;
const HEADER_SIZE = 4;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ZONE = 18;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V6_SRC = 3;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;

/** A connection, or an exchange of datagrams, tracked by the kernel (conntrack(8)). */
interface Flow {
  /** IP protocol: 6 is TCP, 17 UDP. */
  readonly protocol: number;
  /** Port of the first packet's destination, before it was changed. */
  readonly port: number;
  /** The address that answers: the container's, if the packets were forwarded to one. */
  readonly answerer: string;
}

/**
 * Deletes conntrack entries of this network namespace, so that their next packet is matched by the rules again: rules apply to the first
 * packet of a flow only, and datagrams of a sender that never pauses would be forwarded to a container that no longer exists.
 */
export function flushConntrack(unwanted: (flow: Flow) => boolean): void {
  using socket = new NetlinkSocket(NETLINK.netfilter);
  for (const family of [4, 6] as const) {
    const header = Uint8Array.of(AF_OF_IP[family], 0, 0, 0);
    for (const message of socket.dump("Cannot list the connections", CONNECTION_TRACKING | CT_GET, header)) {
      if (message.type !== (CONNECTION_TRACKING | CT_NEW)) continue;
      const attributes = decodeAttributes(message.body, HEADER_SIZE);
      const flow = decodeFlow(attributes);
      if (flow !== undefined && unwanted(flow)) forget(socket, header, attributes);
    }
  }
}

function forget(socket: NetlinkSocket, header: Uint8Array, attributes: Attributes): void {
  const kept = ([CTA_TUPLE_ORIG, CTA_ZONE] as const).flatMap((type) => {
    const content = attributes.get(type);
    return content === undefined ? [] : [[type | (type === CTA_TUPLE_ORIG ? 0x8000 : 0), content] as const];
  });
  // It may have expired meanwhile.
  unless("ENOENT", () =>
    socket.request("Cannot delete a connection", CONNECTION_TRACKING | CT_DELETE, 0, header, encodeAttributes(kept)),
  );
}

/** Parses a message about a flow; undefined for one without ports. */
export function decodeFlow(attributes: Attributes): Flow | undefined {
  const original = nested(attributes, CTA_TUPLE_ORIG);
  const protocol = nested(original, CTA_TUPLE_PROTO);
  const answerer = nested(nested(attributes, CTA_TUPLE_REPLY), CTA_TUPLE_IP);
  const number = protocol.get(CTA_PROTO_NUM)?.[0];
  const port = protocol.get(CTA_PROTO_DST_PORT);
  const address = addressOfBytes(answerer.get(CTA_IP_V4_SRC) ?? answerer.get(CTA_IP_V6_SRC) ?? new Uint8Array());
  if (number === undefined || address === undefined || port === undefined || port.length < 2) return undefined;
  return { protocol: number, port: Buffer.from(port).readUInt16BE(0), answerer: formatAddress(address) };
}

function nested(attributes: Attributes, type: number): Attributes {
  return decodeAttributes(attributes.get(type) ?? new Uint8Array(), 0);
}

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
  const what = `Cannot look up the nftables table ${name}`;
  const attributes = encodeAttributes([[NFTA_TABLE_NAME, text(name)]]);
  try {
    socket.request(what, NFTABLES | NFT_MSG_GETTABLE, 0, header, attributes);
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
