import { type Address, addressBytes } from "../ip";

/** IPv4 packets that carry UDP datagrams: RFC 791 and RFC 768. */

const headerSize = 20;
const udpHeaderSize = 8;
const UDP = 17;

/** DHCP ports (RFC 2131, 4.1). */
export const serverPort = 67;
export const clientPort = 68;

/** The payloads sent to a port, from a sequence of packets; everything else is skipped. */
export function datagramsTo(port: number, bytes: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 0; at + headerSize <= bytes.length; ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const [length, header] = [view.getUint16(2), (view.getUint8(0) & 0x0f) * 4];
    if (view.getUint8(0) >> 4 !== 4 || header < headerSize || length < header + udpHeaderSize) break;
    if (at + length > bytes.length) break;
    if (view.getUint8(9) === UDP && view.getUint16(header + 2) === port) {
      const size = view.getUint16(header + 4) - udpHeaderSize;
      const start = at + header + udpHeaderSize;
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
  port: typeof clientPort | typeof serverPort,
  payload: Uint8Array,
): Uint8Array {
  const packet = Buffer.alloc(headerSize + udpHeaderSize + payload.length);
  packet.set([0x45, 0x10]);
  packet.writeUInt16BE(packet.length, 2);
  packet.set([64, UDP], 8);
  if (from !== undefined) packet.set(addressBytes(from), 12);
  packet.set([255, 255, 255, 255], 16);
  packet.writeUInt16BE(checksum(packet.subarray(0, headerSize)), 10);
  packet.writeUInt16BE(port === clientPort ? serverPort : clientPort, headerSize);
  packet.writeUInt16BE(port, headerSize + 2);
  packet.writeUInt16BE(udpHeaderSize + payload.length, headerSize + 4);
  packet.set(payload, headerSize + udpHeaderSize);
  const pseudo = Buffer.alloc(12);
  packet.copy(pseudo, 0, 12, 20);
  pseudo.writeUInt8(UDP, 9);
  pseudo.writeUInt16BE(udpHeaderSize + payload.length, 10);
  packet.writeUInt16BE(checksum(Buffer.concat([pseudo, packet.subarray(headerSize)])) || 0xffff, headerSize + 6);
  return packet;
}

/** The checksum of RFC 1071. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
