import { isIP } from "node:net";

export type Family = 4 | 6;

/** Number of bits of an address. */
export const addressBits = { 4: 32, 6: 128 } as const satisfies Record<Family, number>;

/** An IP address as a number. */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** An address with its network, such as 10.0.0.2/30; if the host bits are 0, it is the network itself. */
export interface Subnet extends Address {
  /** Prefix length of the network. */
  readonly prefix: number;
}

/** Parses an IPv4 or IPv6 address without a zone; undefined for anything else. */
export function parseAddress(text: string): Address | undefined {
  switch (isIP(text)) {
    case 4:
      return { family: 4, value: text.split(".").reduce((value, part) => (value << 8n) | BigInt(part), 0n) };
    case 6:
      return text.includes("%") ? undefined : { family: 6, value: parseIpv6(text) };
    default:
      return undefined;
  }
}

/** Parses "ADDRESS/PREFIX"; undefined for anything else. */
export function parseSubnet(text: string): Subnet | undefined {
  const [, ip = "", digits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const address = parseAddress(ip);
  const prefix = Number(digits);
  return address === undefined || prefix > addressBits[address.family] ? undefined : { ...address, prefix };
}

/** Whether "ADDRESS/PREFIX" is IPv4. */
export function isIpv4(text: string): boolean {
  return parseSubnet(text)?.family === 4;
}

/** The canonical text of an address (RFC 5952). */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - index * 16)) & 0xffffn).toString(16));
  // The URL standard serializes IPv6 hosts as the RFC does.
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

/** The address in "ADDRESS/PREFIX". */
export function addressPart(text: string): string {
  return text.replace(/\/.*/, "");
}

/** "ADDRESS/PREFIX". */
export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress(subnet)}/${subnet.prefix}`;
}

/** The network of an address: the host bits are 0. */
export function networkOf({ family, value, prefix }: Subnet): Subnet {
  const host = BigInt(addressBits[family] - prefix);
  return { family, value: (value >> host) << host, prefix };
}

/** Whether two networks overlap. */
export function overlaps(one: Subnet, other: Subnet): boolean {
  if (one.family !== other.family) return false;
  const shift = BigInt(addressBits[one.family] - Math.min(one.prefix, other.prefix));
  return one.value >> shift === other.value >> shift;
}

/** The bytes of an address, in network order. */
export function addressBytes({ family, value }: Address): Uint8Array {
  const size = addressBits[family] / 8;
  return Uint8Array.from({ length: size }, (_, index) => Number((value >> BigInt((size - 1 - index) * 8)) & 0xffn));
}

/** The address in 4 or 16 bytes; undefined for any other number. */
export function addressOfBytes(bytes: Uint8Array): Address | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

const linkLocal = { family: 6, value: 0xfe80n << 112n, prefix: 10 } as const;
const linkLocal4 = { family: 4, value: 0xa9fe0000n, prefix: 16 } as const;
const loopback4 = { family: 4, value: 0x7f000000n, prefix: 8 } as const;
const loopback6 = { family: 6, value: 1n, prefix: 128 } as const;

/** Whether an address is valid only on its link or host. */
export function isLocal(address: Address): boolean {
  const alone = { ...address, prefix: addressBits[address.family] };
  return [linkLocal, linkLocal4, loopback4, loopback6].some((network) => overlaps(network, alone));
}

function parseIpv6(text: string): bigint {
  const [head = "", tail] = text.split("::");
  const groups = (part: string | undefined) =>
    (part ?? "")
      .split(":")
      .filter((group) => group !== "")
      .flatMap((group) => (group.includes(".") ? ipv4Groups(group) : [BigInt(`0x${group}`)]));
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0n);
  return [...before, ...zeros, ...after].reduce((value, group) => (value << 16n) | group, 0n);
}

/** The last two groups, written as an IPv4 address. */
function ipv4Groups(text: string): bigint[] {
  const { value } = parseAddress(text) ?? { value: 0n };
  return [value >> 16n, value & 0xffffn];
}
