import { readFile } from "node:fs/promises";
import type { DNSConfig, TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import { ignoreMissing } from "../lib/errors";
import { containerResolvers, type HostNames, hostsFile, type ResolverRequest, resolverText } from "../network/dns";
import { joinedAddresses } from "../network/namespace";
import type { NetworkPlan } from "../network/network";
import type { ImageHosts } from "../rootfs/rootfs";

/** What a job asks of a container's resolv.conf(5): Nomad's dns block, or the options dns_…; undefined if there is neither. */
export function resolverRequest(
  block: DNSConfig | undefined,
  options: Pick<TaskOptions, "dns_servers" | "dns_search_domains" | "dns_options">,
): ResolverRequest | undefined {
  const own = { servers: options.dns_servers, searches: options.dns_search_domains, options: options.dns_options };
  return [block, own].find((asked) => asked !== undefined && valuesOf(asked).length > 0);
}

function valuesOf({ servers, searches, options }: ResolverRequest): readonly string[] {
  return [...servers, ...searches, ...options];
}

/**
 * The text of /etc/resolv.conf that a job asks for; undefined if it asks for none.
 *
 * @param base text of a resolv.conf(5), for what the job does not ask for
 * @throws Error if a value contains a line break
 */
export function resolvConf(asked: ResolverRequest | undefined, base: string): string | undefined {
  if (asked === undefined) return undefined;
  const broken = valuesOf(asked).find((value) => /[\n\r\0]/.test(value));
  if (broken !== undefined) {
    throw new Error(
      `The dns block has the value ${JSON.stringify(broken)} with a line break: write one value per item.`,
    );
  }
  return resolverText(asked, base);
}

/** Name resolution in a container, as contents of resolv.conf(5) and hosts(5). */
export interface NameService {
  /** What the job or the operator asks for. */
  readonly asked: string | undefined;
  /** The client's name servers, if the job sets none and the container can use them. */
  readonly resolvers: string | undefined;
  readonly hosts: HostsPlan;
}

/** What is known of a container's /etc/hosts before its root and its addresses are. */
export interface HostsPlan extends HostNames {
  /** The network's own file, whose lines the container gets: the host's in the host's network; "" in others. */
  readonly base: string;
  /** Whether it replaces the file of any image: the names are those of a group's network. */
  readonly replaces: boolean;
  /** Whether the job asks for names of its own, also in an image with a file. */
  readonly wanted: boolean;
}

type DnsOptions = Pick<
  TaskOptions,
  | "boot"
  | "resolv_conf"
  | "hostname"
  | "domainname"
  | "extra_hosts"
  | "dns_servers"
  | "dns_search_domains"
  | "dns_options"
>;

/**
 * The name resolution for a container's network. Nomad's dns block takes precedence over the options dns_… and resolv_conf. Without them,
 * a container that is not in the host's network uses the client's name servers.
 *
 * @param machine its default host name
 * @param servers the plugin option network.dns_servers
 */
export async function nameService(
  { dns }: Pick<TaskConfig, "dns">,
  options: DnsOptions,
  network: NetworkPlan,
  { machine, servers }: { readonly machine: string; readonly servers: readonly string[] },
): Promise<NameService> {
  const own = network.kind === "host" ? await hostFile("/etc/resolv.conf") : undefined;
  const reachable = network.kind !== "host" && network.kind !== "none" ? await containerResolvers(servers) : undefined;
  const asked = resolvConf(resolverRequest(dns, options), own ?? reachable ?? "");
  const resolvers = asked === undefined && options.resolv_conf === undefined ? reachable : undefined;
  // A booted system in a group's network configures none itself, and systemd-nspawn would give it those of the host.
  const forced = options.boot && network.kind === "joined" && servers.length > 0;
  return {
    asked: forced ? (asked ?? resolvers) : asked,
    resolvers,
    hosts: {
      ...containerNames(network, options, machine),
      base: network.kind === "host" ? await hostFile("/etc/hosts") : "",
      wanted: options.extra_hosts.length > 0 || options.domainname !== undefined,
      extra: options.extra_hosts,
    },
  };
}

async function hostFile(path: string): Promise<string> {
  return (await readFile(path, "utf8").catch(ignoreMissing)) ?? "";
}

/** The agent provides host name and address only for networks created by the Docker driver; for others both are determined here. */
function containerNames(network: NetworkPlan, { hostname: asked, domainname: domain }: DnsOptions, machine: string) {
  const group = network.kind === "joined" ? network.hosts : undefined;
  const hostname = asked ?? machine;
  // As in nspawnArguments(): the group's host name is the container's, if the job names none.
  const own = asked ?? group?.hostname ?? machine;
  const short = own.split(".")[0] ?? own;
  const joined =
    group === undefined ? (network.kind === "joined" ? joinedAddresses(network.path) : []) : [group.address];
  return {
    names: [
      ...(domain === undefined ? [] : [`${own}.${domain}`]),
      ...(group === undefined ? [] : [group.hostname]),
      ...[hostname, ...(own === hostname && short !== own ? [short] : [])],
    ],
    qualified: domain !== undefined,
    addresses: joined,
    replaces: joined.length > 0,
  };
}

/**
 * The text of a container's /etc/hosts. An image of the store gets one of the driver's, like with Docker; a directory's own lines are kept;
 * and a directory or disk image which the driver does not make a root of keeps its own file, unless the job or the group
 * has names for it.
 *
 * @param image see Rootfs.hosts
 * @param addresses of the container, if the driver assigns them
 * @returns undefined if the image's own file is used
 */
export function hostsText(plan: HostsPlan, image: ImageHosts, addresses: readonly string[]): string | undefined {
  if (image.keep && !plan.replaces && !plan.wanted) return undefined;
  const known = plan.addresses.length > 0 ? plan.addresses : addresses;
  return hostsFile({ ...plan, addresses: known }, image.text === "" || plan.replaces ? plan.base : image.text);
}
