import type { Container } from "../supervisor/supervisor";
import { NETWORK_DIRECTORY } from "../systemd/networkd";
import { addressPart, isIpv4 } from "../values/ip";
import { LanLease } from "./lan-lease";
import type { LanNetwork, TaskNetwork } from "./network";
import { networkdText } from "./networkd-text";
import type { NetworkProvider } from "./provider";

/** Before those of an image, which usually match every interface. */
const NETWORKD_PATH = `${NETWORK_DIRECTORY}/10-nomad.network`;

/**
 * Interfaces on a network of the client's. systemd-nspawn makes or moves them, and the driver gives them the job's addresses when the
 * container has them (launch/inside-setup.ts): nothing is left on the host. A command without one gets an address by DHCP (lan-lease.ts), but
 * not with ipvlan: its hardware address is that of the client, and servers know their clients by it.
 */
export const lanNetwork: NetworkProvider<LanNetwork> = {
  reserve: async (_machine, plan, { boot, resolvers, warn }) => {
    const addresses = (plan.own?.addresses ?? []).map(addressPart);
    const text = `[Match]\nName=${matchOf(plan)}\n\n${networkdText(plan.own, resolvers, addresses.length === 0)}`;
    return {
      addresses,
      ...(boot ? { networkd: { text, path: NETWORKD_PATH } } : {}),
      warnings: boot || addresses.length > 0 || plan.via !== "ipvlan" ? [] : [NO_ADDRESS],
      attach: async (container) =>
        addresses.length === 0 ? leasedNetwork(plan, boot, container, warn) : fixedNetwork(plan.own?.addresses ?? []),
    };
  },
};

/** systemd-nspawn's names for interfaces in a container (systemd-nspawn(1)). */
function matchOf({ via, interfaces }: LanNetwork): string {
  return via === "interface" ? (interfaces[0] ?? "") : via === "macvlan" ? "mv-*" : "iv-*";
}

const NO_ADDRESS =
  "The container has no address on its ipvlan interface unless its program assigns one: set ipv4_address or ipv6_address.";

/** The network of a container whose address the driver requests, also that of a recovered one; undefined if it requests none. */
export function leasedNetwork(
  plan: LanNetwork,
  boot: boolean,
  container: Container,
  warn: (message: string) => void,
): TaskNetwork | undefined {
  if (boot || plan.via === "ipvlan" || (plan.own?.addresses ?? []).length > 0) return undefined;
  const [name] = plan.interfaces;
  const which = plan.via === "macvlan" || name === undefined ? { kind: plan.via } : { name };
  return new LanLease(container, which, warn);
}

/** Other hosts reach these addresses, which are known before the container runs. */
function fixedNetwork(addresses: readonly string[]): TaskNetwork {
  const address = addresses.find(isIpv4) ?? addresses[0];
  return {
    link: "lan",
    unreached: [],
    ready: async () => true,
    override: () =>
      address === undefined ? undefined : { addr: addressPart(address), portMap: {}, autoAdvertise: true },
    close: () => {},
  };
}
