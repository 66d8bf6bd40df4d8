/**
 * DHCP for IPv4 (RFC 2131), both sides. The *server* (server.ts) answers one container on its own link with the one address that the
 * driver has assigned to it, for an init system that configures its network by DHCP. The *client* (client.ts, client-state.ts) requests a
 * lease for a container that runs a single command and therefore has no client, in a zone whose DHCP server is that of systemd-networkd
 * (private/address-assignment.ts). A *lease* is an address for a limited time; the client renews it as long as the container runs.
 *
 * This file reads and writes packets. Packets come from a container or from the network: whatever they contain, parsing returns a packet
 * or undefined.
 */

import { type Address, addressBytes, addressOfBytes, macBytes, type Subnet } from "../../values/ip";

/** The format of DHCP messages: RFC 2131, section 2, and RFC 2132. */
const FIXED_SIZE = 236;
const MAGIC = [99, 130, 83, 99] as const;
const ETHERNET = 1;
const MAC_SIZE = 6;

/** The smallest message size that old implementations accept. */
const MIN_MESSAGE_SIZE = 300;
const PAD = 0;
const END = 255;

/** The sender of a message. */
export const operation = { request: 1, reply: 2 } as const;

/** Option numbers. */
export const option = {
  mask: 1,
  router: 3,
  resolvers: 6,
  requested: 50,
  time: 51,
  type: 53,
  server: 54,
  /** The options that a client requests. */
  wanted: 55,
  client: 61,
} as const;

/** Content of the option `type`. */
export const type = { discover: 1, offer: 2, request: 3, acknowledge: 5, refuse: 6 } as const;

/** The fields of a message that are used here. */
export interface DhcpMessage {
  readonly operation: number;
  /** Identifies answers to a client. */
  readonly transaction: number;
  readonly flags: number;
  /** Six bytes of the client as hexadecimal digits with colons. */
  readonly mac: string;
  /** The address that the client has (ciaddr); undefined for none. */
  readonly own: Address | undefined;
  /** The address assigned to it (yiaddr); undefined for none. */
  readonly given: Address | undefined;
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** Parses a message; undefined for anything else. */
export function decodeDhcp(bytes: Uint8Array): DhcpMessage | undefined {
  if (bytes.length < FIXED_SIZE + MAGIC.length || MAGIC.some((byte, index) => bytes[FIXED_SIZE + index] !== byte)) {
    return undefined;
  }
  if (bytes[1] !== ETHERNET || bytes[2] !== MAC_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    operation: view.getUint8(0),
    transaction: view.getUint32(4),
    flags: view.getUint16(10),
    mac: Array.from(bytes.subarray(28, 28 + MAC_SIZE), (byte) => byte.toString(16).padStart(2, "0")).join(":"),
    own: someAddress(bytes.subarray(12, 16)),
    given: someAddress(bytes.subarray(16, 20)),
    options: readOptions(bytes.subarray(FIXED_SIZE + MAGIC.length)),
  };
}

/** Encodes a message. */
export function encodeDhcp({ operation, transaction, flags, mac, own, given, options }: DhcpMessage): Uint8Array {
  const fixed = Buffer.alloc(FIXED_SIZE);
  fixed.set([operation, ETHERNET, MAC_SIZE, 0]);
  fixed.writeUInt32BE(transaction, 4);
  fixed.writeUInt16BE(flags, 10);
  fixed.writeUInt32BE(Number(own?.value ?? 0n), 12);
  fixed.writeUInt32BE(Number(given?.value ?? 0n), 16);
  fixed.set(macBytes(mac), 28);
  const encoded = [...options].flatMap(([code, content]) => [code, content.length, ...content]);
  const message = Buffer.concat([fixed, Uint8Array.from([...MAGIC, ...encoded, END])]);
  return message.length >= MIN_MESSAGE_SIZE
    ? message
    : Buffer.concat([message, Buffer.alloc(MIN_MESSAGE_SIZE - message.length)]);
}

/** The netmask of a network. */
export function maskOf({ prefix }: Subnet): Address {
  return { family: 4, value: ((1n << BigInt(prefix)) - 1n) << BigInt(32 - prefix) };
}

/** The prefix length of a netmask; undefined if the mask has gaps. */
export function prefixOf({ value }: Address): number | undefined {
  const bits = value.toString(2).padStart(32, "0");
  return /^1*0*$/.test(bits) ? bits.lastIndexOf("1") + 1 : undefined;
}

function someAddress(bytes: Uint8Array): Address | undefined {
  const address = addressOfBytes(bytes);
  return address?.value === 0n ? undefined : address;
}

function readOptions(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length; ) {
    const code = bytes[at] ?? END;
    if (code === END) break;
    if (code === PAD) {
      at += 1;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    options.set(code, bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}

/** IPv4 packets that carry UDP datagrams: RFC 791 and RFC 768. */
const HEADER_SIZE = 20;
const UDP_HEADER_SIZE = 8;
const UDP = 17;

/** DHCP ports (RFC 2131, 4.1). */
export const SERVER_PORT = 67;
export const CLIENT_PORT = 68;

/** The payloads sent to a port, from a sequence of packets; everything else is skipped. */
export function datagramsTo(port: number, bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 0; at + HEADER_SIZE <= bytes.length; ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const [length, header] = [view.getUint16(2), (view.getUint8(0) & 0x0f) * 4];
    if (view.getUint8(0) >> 4 !== 4 || header < HEADER_SIZE || length < header + UDP_HEADER_SIZE) break;
    if (at + length > bytes.length) break;
    if (view.getUint8(9) === UDP && view.getUint16(header + 2) === port) {
      const size = view.getUint16(header + 4) - UDP_HEADER_SIZE;
      const start = at + header + UDP_HEADER_SIZE;
      if (size > 0 && start + size <= at + length) found.push(bytes.subarray(start, start + size));
    }
    at += length;
  }
  return found;
}

/**
 * A broadcast packet.
 *
 * @param from undefined for a sender without an address
 * @param port of DHCP clients or servers
 */
export function datagram(
  from: Address | undefined,
  port: typeof CLIENT_PORT | typeof SERVER_PORT,
  payload: Uint8Array,
): Uint8Array {
  const packet = Buffer.alloc(HEADER_SIZE + UDP_HEADER_SIZE + payload.length);
  packet.set([0x45, 0x10]);
  packet.writeUInt16BE(packet.length, 2);
  packet.set([64, UDP], 8);
  if (from !== undefined) packet.set(addressBytes(from), 12);
  packet.set([255, 255, 255, 255], 16);
  packet.writeUInt16BE(checksum(packet.subarray(0, HEADER_SIZE)), 10);
  packet.writeUInt16BE(port === CLIENT_PORT ? SERVER_PORT : CLIENT_PORT, HEADER_SIZE);
  packet.writeUInt16BE(port, HEADER_SIZE + 2);
  packet.writeUInt16BE(UDP_HEADER_SIZE + payload.length, HEADER_SIZE + 4);
  packet.set(payload, HEADER_SIZE + UDP_HEADER_SIZE);
  const pseudo = Buffer.alloc(12);
  packet.copy(pseudo, 0, 12, 20);
  pseudo.writeUInt8(UDP, 9);
  pseudo.writeUInt16BE(UDP_HEADER_SIZE + payload.length, 10);
  packet.writeUInt16BE(checksum(Buffer.concat([pseudo, packet.subarray(HEADER_SIZE)])) || 0xffff, HEADER_SIZE + 6);
  return packet;
}

/** The checksum of RFC 1071. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
