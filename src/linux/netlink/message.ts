/**
 * Netlink, the kernel's socket interface to its network (netlink(7)). A *message* has a header, a fixed part that depends on its type,
 * and *attributes*: type, length, value, possibly nested. A *dump* is a request that the kernel answers with many messages; a *multicast
 * group* delivers messages about changes.
 *
 * route.ts reads and sets links, addresses and routes, netfilter.ts deletes tracked flows and checks that a table exists (rules are
 * written by nft(8)), and watch.ts reports changes.
 *
 * This file encodes and decodes messages. All numbers are in host byte order.
 */

const HEADER_SIZE = 16;
const ATTRIBUTE_HEADER_SIZE = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are not part of an attribute's type. */
const ATTRIBUTE_TYPE_MASK = 0x3fff;

export interface Message {
  readonly type: number;
  readonly sequence: number;
  readonly body: Uint8Array;
}

/** Attributes by type; the last one if a type repeats. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** An attribute: type and content. */
type Attribute = readonly [type: number, content: Uint8Array];

/** A message to the kernel. */
export function encodeMessage(
  { type, flags, sequence }: { readonly type: number; readonly flags: number; readonly sequence: number },
  ...parts: readonly Uint8Array[]
): Uint8Array {
  const body = Buffer.concat(parts.map(padded));
  const header = Buffer.alloc(HEADER_SIZE);
  header.writeUInt32LE(HEADER_SIZE + body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, body]);
}

/** Encodes attributes in sequence. */
export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  return Buffer.concat(
    attributes.map(([type, content]) => {
      const header = Buffer.alloc(ATTRIBUTE_HEADER_SIZE);
      header.writeUInt16LE(ATTRIBUTE_HEADER_SIZE + content.length, 0);
      header.writeUInt16LE(type, 2);
      return padded(Buffer.concat([header, content]));
    }),
  );
}

/** The messages of a datagram; a truncated one at its end is skipped. */
export function decodeMessages(datagram: Uint8Array): Message[] {
  const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length);
  const messages: Message[] = [];
  for (let at = 0; at + HEADER_SIZE <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < HEADER_SIZE || at + length > bytes.length) break;
    messages.push({
      type: bytes.readUInt16LE(at + 4),
      sequence: bytes.readUInt32LE(at + 8),
      body: bytes.subarray(at + HEADER_SIZE, at + length),
    });
    at += aligned(length);
  }
  return messages;
}

/** The attributes after the fixed part, of `skip` bytes, of a message's body. */
export function decodeAttributes(body: Uint8Array, skip: number): Attributes {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const attributes = new Map<number, Uint8Array>();
  for (let at = skip; at + ATTRIBUTE_HEADER_SIZE <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < ATTRIBUTE_HEADER_SIZE || at + length > bytes.length) break;
    attributes.set(
      bytes.readUInt16LE(at + 2) & ATTRIBUTE_TYPE_MASK,
      bytes.subarray(at + ATTRIBUTE_HEADER_SIZE, at + length),
    );
    at += aligned(length);
  }
  return attributes;
}

/** Encodes a 32-bit number as an attribute's content. */
export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** The number in a 32-bit attribute; undefined if it is missing. */
export function readU32(content: Uint8Array | undefined): number | undefined {
  if (content === undefined || content.length < 4) return undefined;
  return new DataView(content.buffer, content.byteOffset).getUint32(0, true);
}

/** The text in an attribute, without its final NUL. */
export function readText(content: Uint8Array | undefined): string | undefined {
  return content === undefined ? undefined : Buffer.from(content).toString("utf8").replace(/\0.*$/s, "");
}

/** Encodes a text with a final NUL as an attribute's content. */
export function text(value: string): Uint8Array {
  return Buffer.from(`${value}\0`);
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

function padded(bytes: Uint8Array): Uint8Array {
  const missing = aligned(bytes.length) - bytes.length;
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
}
