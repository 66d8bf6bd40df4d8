import { unless } from "../../lib/errors";
import { defined } from "../../lib/objects";
import { type Address, addressBytes, addressOfBytes, formatSubnet, macBytes, type Subnet } from "../../values/ip";
import { AF_OF_IP } from "../constants";
import { decodeAttributes, encodeAttributes, type Message, readText, readU32, text, u32 } from "./message";
import { NETLINK, NetlinkSocket, NLM_F_CREATE, NLM_F_REPLACE } from "./socket";

/** The numbers below are of rtnetlink(7), linux/rtnetlink.h, linux/if_link.h and linux/if_addr.h. */
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;

const LINK_SIZE = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFF_UP = 1;

const ADDRESS_SIZE = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_TENTATIVE = 0x40;

const ROUTE_SIZE = 12;
export const RTA_DST = 1;
export const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTPROT_RA = 9;
const RTN_UNICAST = 1;

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  /** Six bytes as hexadecimal digits with colons. */
  readonly mac: string;
  /** Index of the other end of a veth pair, in that end's namespace. */
  readonly peer?: number;
  /** Index of the bridge it is attached to. */
  readonly bridge?: number;
  /** Its kind, such as "bridge" or "veth"; absent for hardware, and for lo. */
  readonly kind?: string;
}

interface LinkAddress {
  readonly index: number;
  readonly address: Subnet;
  /** It is usable: not tentative, not a duplicate, not deprecated. */
  readonly usable: boolean;
}

/** A route of any table. */
export interface Route {
  /** 0.0.0.0/0 or ::/0 for the default route. */
  readonly destination: Subnet;
  readonly index?: number;
  /** The kernel added it for a router advertisement. */
  readonly advertised: boolean;
  /** It leaves the host: it is not for a local address and not unreachable. */
  readonly outward: boolean;
}

/** Interfaces, addresses and routes of one network namespace: that of the thread that creates this object. */
export class Links implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK.route);

  /** @param most approximate maximum of interfaces and addresses to list; for a container's namespace, which can have any number */
  constructor(private readonly most?: number) {}

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  links(): Link[] {
    const messages = this.#list("Cannot list the network interfaces", RTM_GETLINK, linkHeader({}));
    return messages.filter(({ type }) => type === RTM_NEWLINK).map(decodeLink);
  }

  #list(what: string, type: number, header: Uint8Array): Message[] {
    if (this.most === undefined) return this.#socket.dump(what, type, header);
    using socket = new NetlinkSocket(NETLINK.route);
    return socket.dumpSome(this.most, what, type, header);
  }

  link(name: string): Link | undefined {
    return this.links().find((link) => link.name === name);
  }

  addresses(): LinkAddress[] {
    const messages = this.#list("Cannot list the addresses", RTM_GETADDR, new Uint8Array(ADDRESS_SIZE));
    return messages.flatMap((message) => (message.type === RTM_NEWADDR ? decodeAddress(message) : []));
  }

  routes(): Route[] {
    const messages = this.#socket.dump("Cannot list the routes", RTM_GETROUTE, new Uint8Array(ROUTE_SIZE));
    return messages.flatMap((message) => (message.type === RTM_NEWROUTE ? decodeRoute(message) : []));
  }

  setUp(index: number): void {
    this.#socket.request("Cannot set up a network interface", RTM_NEWLINK, 0, linkHeader({ index, up: true }));
  }

  /** Sets an interface's hardware address. */
  setMac(index: number, mac: string): void {
    const attributes = encodeAttributes([[IFLA_ADDRESS, macBytes(mac)]]);
    this.#socket.request(`Cannot set the hardware address ${mac}`, RTM_NEWLINK, 0, linkHeader({ index }), attributes);
  }

  /** Removes an interface; does nothing if it does not exist. */
  remove(name: string): void {
    const what = `Cannot remove the network interface ${name}`;
    const attributes = encodeAttributes([[IFLA_IFNAME, text(name)]]);
    unless("ENODEV", () => this.#socket.request(what, RTM_DELLINK, 0, linkHeader({}), attributes));
  }

  /** Assigns an address to an interface, usable at once; does nothing if it is assigned already. */
  addAddress(index: number, subnet: Subnet): void {
    const { family, prefix } = subnet;
    const header = Buffer.alloc(ADDRESS_SIZE);
    header.writeUInt8(AF_OF_IP[family], 0);
    header.writeUInt8(prefix, 1);
    header.writeUInt32LE(index, 4);
    const bytes = addressBytes(subnet);
    const attributes = encodeAttributes([
      [IFA_LOCAL, bytes],
      [IFA_ADDRESS, bytes],
      ...(family === 4 && prefix < 31 ? ([[IFA_BROADCAST, addressBytes(broadcast(subnet))]] as const) : []),
      // No other host on this link can have it, so duplicate detection is not needed.
      [IFA_FLAGS, u32(family === 6 ? IFA_F_NODAD : 0)],
    ]);
    const what = `Cannot assign the address ${formatSubnet(subnet)} to an interface`;
    this.#socket.request(what, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header, attributes);
  }

  /** Removes an interface's address; does nothing if it is not assigned. */
  removeAddress(index: number, subnet: Subnet): void {
    const header = Buffer.alloc(ADDRESS_SIZE);
    header.writeUInt8(AF_OF_IP[subnet.family], 0);
    header.writeUInt8(subnet.prefix, 1);
    header.writeUInt32LE(index, 4);
    const attributes = encodeAttributes([[IFA_LOCAL, addressBytes(subnet)]]);
    const what = `Cannot remove the address ${formatSubnet(subnet)} from an interface`;
    unless("EADDRNOTAVAIL", () => this.#socket.request(what, RTM_DELADDR, 0, header, attributes));
  }

  /** Sets the default route of a family. */
  setDefaultRoute(index: number, gateway: Address): void {
    const header = Buffer.alloc(ROUTE_SIZE);
    header.set([AF_OF_IP[gateway.family], 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST]);
    const attributes = encodeAttributes([
      [RTA_GATEWAY, addressBytes(gateway)],
      [RTA_OIF, u32(index)],
    ]);
    const what = "Cannot set the default route";
    this.#socket.request(what, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, header, attributes);
  }
}

function linkHeader({ index = 0, up = false }: { readonly index?: number; readonly up?: boolean }): Uint8Array {
  const header = Buffer.alloc(LINK_SIZE);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(up ? IFF_UP : 0, 8);
  header.writeUInt32LE(up ? IFF_UP : 0, 12);
  return header;
}

function decodeLink({ body }: Message): Link {
  const view = new DataView(body.buffer, body.byteOffset);
  const attributes = decodeAttributes(body, LINK_SIZE);
  const peer = readU32(attributes.get(IFLA_LINK));
  const bridge = readU32(attributes.get(IFLA_MASTER));
  const kind = readText(decodeAttributes(attributes.get(IFLA_LINKINFO) ?? new Uint8Array(), 0).get(IFLA_INFO_KIND));
  return {
    index: view.getInt32(4, true),
    name: readText(attributes.get(IFLA_IFNAME)) ?? "",
    up: (view.getUint32(8, true) & IFF_UP) !== 0,
    mac: Array.from(attributes.get(IFLA_ADDRESS) ?? [], (byte) => byte.toString(16).padStart(2, "0")).join(":"),
    ...defined({ peer, bridge, kind }),
  };
}

function decodeAddress({ body }: Message): LinkAddress[] {
  const view = new DataView(body.buffer, body.byteOffset);
  const attributes = decodeAttributes(body, ADDRESS_SIZE);
  const address = addressOfBytes(attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? new Uint8Array());
  if (address === undefined) return [];
  const flags = readU32(attributes.get(IFA_FLAGS)) ?? view.getUint8(2);
  return [
    {
      index: view.getUint32(4, true),
      address: { ...address, prefix: view.getUint8(1) },
      usable: (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)) === 0,
    },
  ];
}

function decodeRoute({ body }: Message): Route[] {
  const view = new DataView(body.buffer, body.byteOffset);
  const family = view.getUint8(0) === AF_OF_IP[6] ? 6 : 4;
  const attributes = decodeAttributes(body, ROUTE_SIZE);
  const destination = addressOfBytes(attributes.get(RTA_DST) ?? new Uint8Array()) ?? { family, value: 0n };
  const index = readU32(attributes.get(RTA_OIF));
  return [
    {
      destination: { ...destination, prefix: view.getUint8(1) },
      ...defined({ index }),
      advertised: view.getUint8(5) === RTPROT_RA,
      outward: view.getUint8(7) === RTN_UNICAST,
    },
  ];
}

function broadcast({ family, value, prefix }: Subnet): Address {
  return { family, value: value | ((1n << BigInt(32 - prefix)) - 1n) };
}
