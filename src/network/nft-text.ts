import { isBridgeName } from "../config/names";
import { type Family, formatAddress, parseAddress } from "./ip";

/**
 * What of a record goes into a rule of nft(8), as its text: nothing else of one does. Its language takes a name in quotes as it is but
 * for a final asterisk, and has no escapes within: what is not plainly a name, an address or a port is left out, and the rule with it.
 */

/** An interface's name, in quotes; undefined where it is none that a rule may hold. */
export function nftInterface(name: string): string | undefined {
  return isBridgeName(name) ? `"${name}"` : undefined;
}

/** An address of a family, as that family's are written; undefined for anything else. */
export function nftAddress(text: string, family: Family): string | undefined {
  const address = parseAddress(text);
  return address?.family === family ? formatAddress(address) : undefined;
}

/** A port's number; undefined where it is none. */
export function nftPort(port: number): string | undefined {
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? String(port) : undefined;
}
