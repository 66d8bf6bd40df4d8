import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { ignoreMissing } from "../lib/errors";
import { type HostEntry, isHostsName } from "../values/hosts";
import { isLocal, parseAddress } from "../values/ip";

/** The servers that the host itself uses: behind systemd-resolved's own server on a loopback address, which no container can reach. */
const FILES = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"] as const;

/** The text of a resolv.conf(5) without the servers that only the host can reach; undefined if no server remains. */
export function reachableResolvers(text: string): string | undefined {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => /^(nameserver|search|domain|options|sortlist)\s/.test(line));
  const kept = lines.filter((line) => !isUnreachable(line));
  return kept.some((line) => line.startsWith("nameserver")) ? `${kept.join("\n")}\n` : undefined;
}

/** The host's name servers for a container with its own network; undefined if containers can reach none of them. */
export async function hostResolvers(): Promise<string | undefined> {
  for (const file of FILES) {
    const text = await readFile(file, "utf8").catch(ignoreMissing);
    const reachable = text === undefined ? undefined : reachableResolvers(text);
    if (reachable !== undefined) return reachable;
  }
  return undefined;
}

/** The name servers in the text of a resolv.conf(5). */
export function serversOf(text: string | undefined): string[] {
  return [...(text ?? "").matchAll(/^nameserver\s+(\S+)/gm)].map(([, server = ""]) => server);
}

function isUnreachable(line: string): boolean {
  const [word, server = ""] = line.split(/\s+/);
  if (word !== "nameserver") return false;
  const address = parseAddress(server);
  // An address with a zone belongs to one of the host's links.
  return address === undefined || isLocal(address);
}

/** The address of a host's own name if none that others reach is known, as Debian writes it. */
const OWN_ADDRESS = "127.0.1.1";

const LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";

/** What a container's /etc/hosts contains. */
export interface HostNames {
  /** The container's names, its own first. */
  readonly names: readonly string[];
  /** Its addresses; without any, the names get 127.0.1.1. */
  readonly addresses: readonly string[];
  readonly extra: readonly HostEntry[];
}

/**
 * The text of /etc/hosts (hosts(5)) for a container, in the format of Nomad's own drivers.
 *
 * @param existing a file whose lines are kept: localhost and the container's names are added where it does not have them
 * @throws Error for an address or a name that does not fit on one line
 */
export function hostsFile({ names, addresses, extra }: HostNames, existing = ""): string {
  const broken = addresses.find((address) => isIP(address) === 0) ?? names.find((name) => !isHostsName(name));
  if (broken !== undefined) {
    throw new Error(
      `Cannot write ${JSON.stringify(broken)} of the container's network to /etc/hosts: not a valid address or host name.`,
    );
  }
  const known = namesIn(existing);
  const missing = [...new Set(names)].filter((name) => !known.has(name));
  const own = addresses.length === 0 ? [OWN_ADDRESS] : addresses;
  return [
    known.has("localhost") ? "" : LOCALHOST,
    existing === "" || existing.endsWith("\n") ? existing : `${existing}\n`,
    ...own.map((address) => (missing.length === 0 ? "" : `${address} ${missing.join(" ")}\n`)),
    ...extra.map(({ name, address }) => `${address} ${name}\n`),
  ].join("");
}

/** The names in the text of a hosts(5) file. */
function namesIn(text: string): Set<string> {
  const words = text.split("\n").map((line) => line.replace(/#.*/, "").trim().split(/\s+/));
  return new Set(words.flatMap(([, ...names]) => names));
}
