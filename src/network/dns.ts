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

/**
 * The resolver configuration of a container with its own network: the operator's servers, or those of the host; undefined if containers
 * can reach none of them.
 *
 * @param servers the plugin option network.dns_servers
 */
export async function containerResolvers(servers: readonly string[]): Promise<string | undefined> {
  if (servers.length === 0) return hostResolvers();
  const own = (await readFile("/etc/resolv.conf", "utf8").catch(ignoreMissing)) ?? "";
  return resolverText({ servers, searches: [], options: [] }, own);
}

/** What a container's resolv.conf(5) is asked to have. */
export interface ResolverRequest {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

/**
 * The text of a resolv.conf(5): what is asked for, and the lines of `base` for what is not asked for, as Nomad's own drivers do
 * (drivers/shared/resolvconf of Nomad).
 */
export function resolverText({ servers, searches, options }: ResolverRequest, base: string): string {
  const kept = (...words: readonly string[]) =>
    base.split("\n").filter((line) => words.includes(line.split(/\s/)[0] ?? ""));
  const lines = [
    ...(servers.length > 0 ? servers.map((server) => `nameserver ${server}`) : kept("nameserver")),
    ...(searches.length > 0 ? [`search ${searches.join(" ")}`] : kept("search", "domain")),
    ...(options.length > 0 ? [`options ${options.join(" ")}`] : kept("options")),
  ];
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** The host's name servers for a container with its own network; undefined if containers can reach none of them. */
async function hostResolvers(): Promise<string | undefined> {
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
  /** Whether the first name is the fully qualified one, which the job asks for. */
  readonly qualified?: boolean;
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
export function hostsFile({ names, qualified = false, addresses, extra }: HostNames, existing = ""): string {
  const broken = addresses.find((address) => isIP(address) === 0) ?? names.find((name) => !isHostsName(name));
  if (broken !== undefined) {
    throw new Error(
      `Cannot write ${JSON.stringify(broken)} of the container's network to /etc/hosts: not a valid address or host name.`,
    );
  }
  const known = namesIn(existing);
  const all = [...new Set(names)];
  // The first line with a name decides on its canonical name: that of the domain has to come before an existing line.
  const first = qualified && !known.has(names[0] ?? "");
  const missing = first ? all : all.filter((name) => !known.has(name));
  const addressed = addresses.length === 0 ? [OWN_ADDRESS] : addresses;
  const own = addressed.map((address) => (missing.length === 0 ? "" : `${address} ${missing.join(" ")}\n`));
  return [
    known.has("localhost") ? "" : LOCALHOST,
    ...(first ? own : []),
    existing === "" || existing.endsWith("\n") ? existing : `${existing}\n`,
    ...(first ? [] : own),
    ...extra.map(({ name, address }) => `${address} ${name}\n`),
  ].join("");
}

/** The names in the text of a hosts(5) file. */
function namesIn(text: string): Set<string> {
  const words = text.split("\n").map((line) => line.replace(/#.*/, "").trim().split(/\s+/));
  return new Set(words.flatMap(([, ...names]) => names));
}
