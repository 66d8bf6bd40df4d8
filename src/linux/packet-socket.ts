import { ptr } from "bun:ffi";
import { closeSync } from "node:fs";
import { macBytes } from "../values/ip";
import { AF, SOCK, SOL_SOCKET } from "./constants";
import { libc } from "./ffi";

/** packet(7) and socket(7). */
const ETH_P_IP = 0x0800;
const SO_ATTACH_FILTER = 26;
const ADDRESS_SIZE = 20;
const MAC_SIZE = 6;

/**
 * Accepts only first fragments of UDP to a port (Documentation/networking/filter.rst of the kernel): code, jump if true,
 * jump if false, operand.
 */
const filterFor = (port: number): readonly (readonly [number, number, number, number])[] => [
  [0x30, 0, 0, 9], //          ldb [9]            protocol
  [0x15, 0, 6, 17], //         jeq #17            UDP
  [0x28, 0, 0, 6], //          ldh [6]            fragment
  [0x45, 4, 0, 0x1fff], //     jset #0x1fff       not the first one
  [0xb1, 0, 0, 0], //          ldxb 4*([0]&0xf)   size of the header
  [0x48, 0, 0, 2], //          ldh [x + 2]        destination port
  [0x15, 0, 1, port], //       jeq #PORT
  [0x06, 0, 0, 0xffff], //     ret #65535
  [0x06, 0, 0, 0], //          ret #0
];

/**
 * A socket that receives what is sent on a link to a UDP port, as IP packets, even if another program listens on that port. It stays in
 * the network namespace of this thread, does not block, and is owned by the caller.
 *
 * @param index of the link
 * @returns undefined if the kernel has no packet sockets, or the link is gone
 */
export function openPacketSocket(index: number, port: number): number | undefined {
  const filter = filterFor(port);
  // Without a protocol it receives nothing until it is bound, after the filter is attached.
  const fd = libc().socket(AF.packet, SOCK.dgram | SOCK.cloexec | SOCK.nonblock, 0);
  if (fd < 0) return undefined;
  const program = Buffer.alloc(filter.length * 8);
  for (const [position, [code, yes, no, operand]] of filter.entries()) {
    program.writeUInt16LE(code, position * 8);
    program.set([yes, no], position * 8 + 2);
    program.writeUInt32LE(operand, position * 8 + 4);
  }
  const description = Buffer.alloc(16);
  description.writeUInt16LE(filter.length, 0);
  description.writeBigUInt64LE(BigInt(ptr(program)), 8);
  const address = linkAddress(index, new Uint8Array(MAC_SIZE));
  const done =
    libc().setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, ptr(description), description.length) === 0 &&
    libc().bind(fd, ptr(address), address.length) === 0;
  if (done) return fd;
  closeSync(fd);
  return undefined;
}

/** Sends an IP packet to a host on a link, or with FF:FF:FF:FF:FF:FF to all; a packet that cannot be sent is dropped, as packets may be. */
export function sendPacket(fd: number, index: number, mac: string, packet: Uint8Array): void {
  const address = linkAddress(index, macBytes(mac));
  libc().sendto(fd, ptr(packet), packet.length, 0, ptr(address), address.length);
}

/** struct sockaddr_ll. */
function linkAddress(index: number, mac: Uint8Array): Buffer {
  const address = Buffer.alloc(ADDRESS_SIZE);
  address.writeUInt16LE(AF.packet, 0);
  address.writeUInt16BE(ETH_P_IP, 2);
  address.writeInt32LE(index, 4);
  address.writeUInt8(mac.length, 11);
  address.set(mac, 12);
  return address;
}
