import type { Finding } from "./finding";
import type { NetworkFacts } from "./read-network";

/** Judges what networks of containers need: private ones, forwarded ports, and those of groups. */
export function networkFindings(facts: NetworkFacts): Finding[] {
  return [packetFilter(facts), forwarding(facts), forwardPolicy(facts), addresses(facts), groups(facts)];
}

function packetFilter({ nft }: NetworkFacts): Finding {
  const check = "nftables";
  return nft === undefined
    ? {
        check,
        level: "warning",
        text: "The program nft is not installed: ports cannot be forwarded to containers, which reach no other hosts.",
        fix: 'Install the package "nftables"; firewalls that use iptables can stay.',
      }
    : { check, level: "ok", text: `${nft} forwards ports to containers, by the table "inet nomad-nspawn".` };
}

function forwarding({ forwarding: on, ipv6, advertisedRoute }: NetworkFacts): Finding {
  const check = "forwarding";
  if (ipv6 && !on.ipv6 && advertisedRoute) {
    return {
      check,
      level: "warning",
      text: "The host's IPv6 default route comes with router advertisements, which a forwarding kernel ignores: IPv6 is not forwarded, so that containers reach this host alone by it.",
      fix: "Set net.ipv6.conf.INTERFACE.accept_ra = 2 for the interface and net.ipv6.conf.all.forwarding = 1, or let systemd-networkd or NetworkManager handle router advertisements.",
    };
  }
  return on.ipv4
    ? {
        check,
        level: "ok",
        text: `The host forwards packets${on.ipv6 || !ipv6 ? "" : " of IPv4; the driver turns IPv6 on when it is needed"}.`,
      }
    : {
        check,
        level: "ok",
        text: "The driver turns forwarding on (net.ipv4.ip_forward) with the first container that has a network of its own.",
      };
}

function forwardPolicy({ droppingChains }: NetworkFacts): Finding {
  const check = "firewall";
  const [first = ""] = droppingChains;
  if (first === "") return { check, level: "ok", text: "No chain drops forwarded packets by its policy." };
  const families = first.startsWith("ip6") ? "ip6tables" : "iptables";
  return {
    check,
    level: "warning",
    text: `Forwarded packets are dropped unless a rule accepts them (${droppingChains.join(", ")}): other hosts may not reach ports of containers, nor containers other hosts. The driver never changes others' rules.`,
    fix: first.startsWith("inet")
      ? `Accept the containers' links in that chain: nft insert rule ${first} iifname "ve-*" accept; nft insert rule ${first} oifname "ve-*" accept; the same for "vz-*" where zones are used.`
      : `Accept the containers' links: ${families} -I FORWARD -i ve-+ -j ACCEPT; ${families} -I FORWARD -o ve-+ -j ACCEPT (with Docker in the chain DOCKER-USER); the same for vz-+ where zones are used.`,
  };
}

function addresses({ networkd }: NetworkFacts): Finding {
  const check = "addresses";
  return {
    check,
    level: "ok",
    text: networkd
      ? "systemd-networkd runs: where it manages the containers' links (80-container-ve.network), it gives them addresses."
      : "systemd-networkd does not run: the driver gives containers their addresses.",
  };
}

function groups({ cni }: NetworkFacts): Finding {
  const check = "cni";
  return {
    check,
    level: "ok",
    text:
      cni === undefined
        ? 'No CNI plugins were found: groups with network { mode = "bridge" } are not placed here. The package is "containernetworking-plugins" with Debian; cni_path of the client is where they are.'
        : `CNI plugins are in ${cni}${cni === "/opt/cni/bin" ? "" : ` (set cni_path = "${cni}" in the client block)`}, for network { mode = "bridge" }.`,
  };
}
