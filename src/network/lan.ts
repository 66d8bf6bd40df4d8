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
 * container has them (launch/inside-setup.ts): nothing is left on the host. A command without one gets one by DHCP on macvlan (lan-lease.ts). With
 * ipvlan the hardware address is that of the client, by which servers know their clients; and what is sent on an interface that a task has
 * for itself is the task's business.
 */
export const lanNetwork: NetworkProvider<LanNetwork> = {
  reserve: async (_machine, plan, { boot, resolvers, warn }) => {
    const addresses = (plan.own?.addresses ?? []).map(addressPart);
    const text = `[Match]\nName=${matchOf(plan)}\n\n${networkdText(plan.own, resolvers, addresses.length === 0)}`;
    return {
      addresses,
      ...(boot ? { networkd: { text, path: NETWORKD_PATH } } : {}),
      warnings: boot || addresses.length > 0 || isLeased(plan, boot) ? [] : [noAddressNote(plan)],
      attach: async (container) =>
        addresses.length === 0 ? leasedNetwork(plan, boot, container, warn) : fixedNetwork(plan.own?.addresses ?? []),
    };
  },
};

/** systemd-nspawn's names for interfaces in a container (systemd-nspawn(1)). */
function matchOf({ via, interfaces }: LanNetwork): string {
  return via === "interface" ? (interfaces[0] ?? "") : via === "macvlan" ? "mv-*" : "iv-*";
}

function noAddressNote({ via, interfaces }: LanNetwork): string {
  return `The container has no address on its ${via === "interface" ? `interface ${interfaces[0]}` : `${via} interface`} unless its program assigns one: set ipv4_address or ipv6_address.`;
}

/** Whether the driver requests an address: for a command with macvlan and no address of its own. */
function isLeased({ via, own }: LanNetwork, boot: boolean): boolean {
  return !boot && via === "macvlan" && (own?.addresses ?? []).length === 0;
}

/** The network of a container whose address the driver requests, also that of a recovered one; undefined if it requests none. */
export function leasedNetwork(
  plan: LanNetwork,
  boot: boolean,
  container: Container,
  warn: (message: string) => void,
): TaskNetwork | undefined {
  return isLeased(plan, boot) ? new LanLease(container, { kind: plan.via }, warn) : undefined;
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
