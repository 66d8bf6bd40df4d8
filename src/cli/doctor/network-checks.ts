import { existsSync } from "node:fs";
import { readCgroupLayout } from "../../linux/cgroup/layout";
import { Links } from "../../linux/netlink/route";
import { dependsOnAdvertisements, forwards, hasIpv6 } from "../../linux/sysctl";
import { acceptCommands, closedForwardChains } from "../../network/firewall/forward-policy";
import { attemptNft } from "../../network/firewall/nftables";
import { networkdRuns } from "../../systemd/networkd";
import { about, type Finding } from "./finding";

/** Where agents look for CNI plugins (cni_path), and where distributions install them. */
const CNI_DIRECTORIES = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"] as const;

/** What container networks need from a host. */
export interface NetworkFacts {
  /** Path of nft(8). */
  readonly nft: string | undefined;
  readonly forwarding: { readonly ipv4: boolean; readonly ipv6: boolean };
  readonly ipv6: boolean;
  /** The host would lose its IPv6 default route if it forwarded. */
  readonly advertisedRoute: boolean;
  /** Firewall chains that drop what containers send, and have no rule that accepts it: "ip filter FORWARD". */
  readonly droppingChains: readonly string[];
  readonly networkd: boolean;
  /** A directory with the CNI plugin "bridge". */
  readonly cni: string | undefined;
}

/** Inspects this host's network; changes nothing. */
export async function readNetwork(): Promise<NetworkFacts> {
  using links = new Links();
  const { path } = await attemptNft(["--version"]);
  return {
    nft: path,
    forwarding: { ipv4: forwards(4), ipv6: forwards(6) },
    ipv6: hasIpv6(),
    advertisedRoute: dependsOnAdvertisements(links.routes()),
    droppingChains: await closedForwardChains("ve-"),
    networkd: networkdRuns(readCgroupLayout()),
    cni: CNI_DIRECTORIES.find((directory) => existsSync(`${directory}/bridge`)),
  };
}

/** Evaluates what container networks need: private networks, forwarded ports and group networks. */
export function networkFindings(facts: NetworkFacts): Finding[] {
  return [packetFilter(facts), forwarding(facts), forwardPolicy(facts), addresses(facts), groups(facts)];
}

function packetFilter({ nft }: NetworkFacts): Finding {
  const report = about("nftables");
  return nft === undefined
    ? report.warning(
        "nft is not installed: ports cannot be forwarded, and containers cannot reach other hosts.",
        'Install the package "nftables"; firewalls that use iptables can stay.',
      )
    : report.ok(`${nft} is available: ports are forwarded to containers with the table "inet nomad-nspawn".`);
}

function forwarding({ forwarding: on, ipv6, advertisedRoute }: NetworkFacts): Finding {
  const report = about("forwarding");
  if (ipv6 && !on.ipv6 && advertisedRoute) {
    return report.warning(
      "The host's IPv6 default route comes from router advertisements, which a forwarding kernel ignores: the driver does not enable IPv6 forwarding, and containers reach only this host over IPv6.",
      "Set net.ipv6.conf.INTERFACE.accept_ra = 2 for the interface and net.ipv6.conf.all.forwarding = 1, or let systemd-networkd or NetworkManager handle router advertisements.",
    );
  }
  return on.ipv4
    ? report.ok(
        `IP forwarding is enabled${on.ipv6 || !ipv6 ? "" : " for IPv4; the driver enables it for IPv6 when a container needs it"}.`,
      )
    : report.ok(
        "IP forwarding is disabled; the driver enables it (net.ipv4.ip_forward) with the first container that has a private network.",
      );
}

function forwardPolicy({ droppingChains }: NetworkFacts): Finding {
  const report = about("firewall");
  if (droppingChains.length === 0) return report.ok("No firewall chain drops packets of containers by policy.");
  return report.warning(
    `The firewall drops forwarded packets unless a rule accepts them (${droppingChains.join(", ")}): other hosts may not reach ports of containers, nor containers other hosts. The driver does not modify other programs' firewall rules.`,
    "Accept the containers' interfaces: ve-* (with Docker in the chain DOCKER-USER), and vz-* in the same way where zones are used. Keep the rules with the firewall's own.",
    droppingChains.flatMap((chain) => acceptCommands(chain, "ve-").split("; ")),
  );
}

function addresses({ networkd }: NetworkFacts): Finding {
  const report = about("addresses");
  return report.ok(
    networkd
      ? "systemd-networkd is running: it assigns addresses where it manages the containers' interfaces (80-container-ve.network)."
      : "systemd-networkd is not running: the driver assigns addresses to containers.",
  );
}

function groups({ cni }: NetworkFacts): Finding {
  const report = about("cni");
  return report.ok(
    cni === undefined
      ? 'No CNI plugins found: groups with network { mode = "bridge" } cannot be placed on this client. Install the package "containernetworking-plugins" (Debian, Ubuntu) and set cni_path in the client block.'
      : `CNI plugins found in ${cni}${cni === "/opt/cni/bin" ? "" : ` (set cni_path = "${cni}" in the client block)`}, for network { mode = "bridge" }.`,
  );
}
