import { addressBits, formatSubnet, networkOf, overlaps, type Subnet } from "./ip";

/** The two ends of a link: "ADDRESS/PREFIX" of the host's and of the container's. */
export interface LinkAddresses {
  readonly host: string;
  readonly container: string;
}

/** Prefix lengths of the driver's networks: of a link between host and container, and of a zone with many containers. */
export const networkSizes = {
  veth: { 4: 30, 6: 64 },
  zone: { 4: 24, 6: 64 },
} as const;

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

/**
 * The lowest free position of a network, from 2; undefined if all are taken.
 *
 * @param taken addresses of the network's containers
 */
export function freePosition(network: Subnet, taken: readonly Subnet[]): bigint | undefined {
  const positions = new Set(taken.map(({ value }) => value - network.value));
  // The last one is the broadcast address with IPv4.
  const end = (1n << BigInt(addressBits[network.family] - network.prefix)) - 1n;
  for (let position = 2n; position < end; position += 1n) if (!positions.has(position)) return position;
  return undefined;
}

/** The other address of a two-address link, of which the host has this one; undefined in a network of one address. */
export function neighbour(host: Subnet): Subnet | undefined {
  const network = networkOf(host);
  const position = freePosition(network, [host]);
  return position === undefined ? undefined : { ...host, value: network.value + position };
}
