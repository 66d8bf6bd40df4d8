import { type Family, formatAddress, parseAddress } from "../../values/ip";
import { isBridgeName } from "../../values/names";

/**
 * The values of a record that go into nft(8) rules, as text: nothing else of it does. nft takes a quoted name literally except
 * for a final asterisk, and has no escapes: what is not plainly a name, an address or a port is left out, and the rule with it.
 */

/** An interface's name, in quotes; undefined if a rule cannot contain it. */
export function nftInterface(name: string): string | undefined {
  return isBridgeName(name) ? `"${name}"` : undefined;
}

/** An address in the notation of its family; undefined for anything else. */
export function nftAddress(text: string, family: Family): string | undefined {
  const address = parseAddress(text);
  return address?.family === family ? formatAddress(address) : undefined;
}

/** A port number; undefined if it is not one. */
export function nftPort(port: number): string | undefined {
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? String(port) : undefined;
}
