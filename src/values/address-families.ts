/** Numbers of address families (linux/socket.h), by the names that systemd uses for them (address_families(7)). */
const FAMILIES: Readonly<Record<string, number>> = {
  AF_UNIX: 1,
  AF_LOCAL: 1,
  AF_INET: 2,
  AF_AX25: 3,
  AF_IPX: 4,
  AF_APPLETALK: 5,
  AF_BRIDGE: 7,
  AF_X25: 9,
  AF_INET6: 10,
  AF_KEY: 15,
  AF_NETLINK: 16,
  AF_PACKET: 17,
  AF_RDS: 21,
  AF_PPPOX: 24,
  AF_LLC: 26,
  AF_IB: 27,
  AF_MPLS: 28,
  AF_CAN: 29,
  AF_TIPC: 30,
  AF_BLUETOOTH: 31,
  AF_RXRPC: 33,
  AF_ALG: 38,
  AF_NFC: 39,
  AF_VSOCK: 40,
  AF_KCM: 41,
  AF_QIPCRTR: 42,
  AF_SMC: 43,
  AF_XDP: 44,
};

/** Which address families a program may use. */
export interface AddressFamilies {
  readonly kind: "allowed" | "denied";
  readonly numbers: readonly number[];
}

/** Why an entry of a list of address families is not valid, or undefined. */
export function addressFamilyProblem(entry: string): string | undefined {
  if (entry === "none" || Object.hasOwn(FAMILIES, entry.replace(/^~/, ""))) return undefined;
  return 'it must be an address family such as "AF_INET", with "~" before it to deny it, or "none"';
}

/**
 * The families that a list allows or denies; undefined if the list is empty, and then every family may be used.
 *
 * @returns the problem as the end of a sentence if the entries contradict each other
 */
export function parseAddressFamilies(entries: readonly string[]): AddressFamilies | undefined | string {
  if (entries.length === 0) return undefined;
  const denied = entries.filter((entry) => entry.startsWith("~"));
  if (denied.length > 0 && denied.length < entries.length) return 'either all of its entries have a "~", or none';
  if (entries.includes("none") && entries.length > 1) return '"none" must be its only entry';
  const numbers = entries.flatMap((entry) => FAMILIES[entry.replace(/^~/, "")] ?? []);
  return { kind: denied.length > 0 ? "denied" : "allowed", numbers: [...new Set(numbers)] };
}
