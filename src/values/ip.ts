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

/** Why "ADDRESS/PREFIX" cannot be given to an interface, or undefined. */
export function interfaceAddressProblem(text: string, family: Family): string | undefined {
  const subnet = parseSubnet(text);
  const example = family === 4 ? "192.0.2.10/24" : "2001:db8::10/64";
  if (subnet?.family !== family)
    return `it must be an IPv${family} address with the length of its network, such as "${example}"`;
  const bits = addressBits[family] - subnet.prefix;
  const host = subnet.value - networkOf(subnet).value;
  const whole = bits > 1 && (host === 0n || (family === 4 && host === (1n << BigInt(bits)) - 1n));
  const multicast = family === 4 ? subnet.value >> 28n === 0xen : subnet.value >> 120n === 0xffn;
  if (subnet.value === 0n || whole || multicast) return "it must be the address of one host";
  return isLocal(subnet) ? "it must be an address that other hosts can reach" : undefined;
}

/** Whether an address is in a network. */
export function contains(network: Subnet, address: Address): boolean {
  return overlaps(network, { ...address, prefix: addressBits[address.family] });
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

/** The two ends of a link: "ADDRESS/PREFIX" of the host's and of the container's. */
export interface LinkAddresses {
  readonly host: string;
  readonly container: string;
}

/** Prefix lengths of the driver's networks: of a link between host and container, and of a zone with many containers. */
export const networkSizes = { veth: { 4: 30, 6: 64 }, zone: { 4: 24, 6: 64 } } as const;

/**
 * A network of a pool that is unused on the host. The search starts at a position derived from the name, so that usually a
 * name gets the same network again.
 *
 * @param used networks of the host: routes, addresses, and those assigned to others
 * @returns undefined if the whole pool is in use
 */
export function freeSubnet(pool: Subnet, prefix: number, name: string, used: readonly Subnet[]): Subnet | undefined {
  const { family } = pool;
  const size = 1n << BigInt(addressBits[family] - prefix);
  const count = 1n << BigInt(Math.max(0, prefix - pool.prefix));
  const first = networkOf(pool).value;
  const near = used.filter((subnet) => overlaps(subnet, pool));
  const start = Bun.hash.wyhash(name) % count;
  // Each network in use can block larger candidates many times, so limiting the number of tries would not work.
  const largest = 65_536n;
  for (let step = 0n; step < count && step < largest; step += 1n) {
    const candidate: Subnet = { family, value: first + ((start + step) % count) * size, prefix };
    if (!near.some((subnet) => overlaps(subnet, candidate))) return candidate;
  }
  return undefined;
}

/** The first address of a network for the host, and the one at `position`, 2 or more, for a container. */
export function linkAddresses(network: Subnet, position: bigint): LinkAddresses {
  const at = (offset: bigint) => formatSubnet({ ...network, value: network.value + offset });
  return { host: at(1n), container: at(position) };
}

/** The lowest free position of a network, from 2; undefined if all are taken. @param taken addresses of the network's containers */
export function freePosition(network: Subnet, taken: readonly Subnet[]): bigint | undefined {
  const positions = new Set(taken.map(({ value }) => value - network.value));
  // The last one is the broadcast address with IPv4.
  const end = (1n << BigInt(addressBits[network.family] - network.prefix)) - 1n;
  for (let position = 2n; position < end; position += 1n) if (!positions.has(position)) return position;
  return undefined;
}

/** The other address of a two-address link, of which the host has this one; undefined in a network of one address. */
export function peerAddress(host: Subnet): Subnet | undefined {
  const network = networkOf(host);
  const position = freePosition(network, [host]);
  return position === undefined ? undefined : { ...host, value: network.value + position };
}

/** Parses a hardware address. */
export function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(":").map((digits) => Number.parseInt(digits, 16)));
}
