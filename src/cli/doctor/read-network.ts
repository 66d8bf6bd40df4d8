import { existsSync } from "node:fs";
import { readCgroupLayout } from "../../host/cgroup-layout";
import { attemptNft } from "../../network/firewall";
import { Links } from "../../network/netlink/links";
import { networkdRuns } from "../../network/networkd";
import { dependsOnAdvertisements, forwards, hasIpv6 } from "../../network/sysctls";
import { droppingForwardChains } from "./forward-chains";

/** Where agents look for CNI plugins (cni_path), and where distributions install them. */
const cniDirectories = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"] as const;

/** What container networks need from a host. */
export interface NetworkFacts {
  /** Path of nft(8). */
  readonly nft: string | undefined;
  readonly forwarding: { readonly ipv4: boolean; readonly ipv6: boolean };
  readonly ipv6: boolean;
  /** The host would lose its IPv6 default route if it forwarded. */
  readonly advertisedRoute: boolean;
  /** Firewall chains whose policy drops forwarded packets: "ip filter FORWARD". */
  readonly droppingChains: readonly string[];
  readonly networkd: boolean;
  /** A directory with the CNI plugin "bridge". */
  readonly cni: string | undefined;
}

/** Inspects this host's network; changes nothing. */
export async function readNetwork(): Promise<NetworkFacts> {
  using links = new Links();
  const { path, output } = await attemptNft(["--json", "list", "chains"]);
  return {
    nft: path,
    forwarding: { ipv4: forwards(4), ipv6: forwards(6) },
    ipv6: hasIpv6(),
    advertisedRoute: dependsOnAdvertisements(links.routes()),
    droppingChains: droppingForwardChains(output),
    networkd: networkdRuns(readCgroupLayout()),
    cni: cniDirectories.find((directory) => existsSync(`${directory}/bridge`)),
  };
}
