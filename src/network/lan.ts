import { NETWORK_DIRECTORY } from "../systemd/networkd";
import { addressPart, isIpv4 } from "../values/ip";
import type { LanNetwork, TaskNetwork } from "./network";
import { networkdText } from "./networkd-text";
import type { NetworkProvider } from "./provider";

/** Before those of an image, which usually match every interface. */
const NETWORKD_PATH = `${NETWORK_DIRECTORY}/10-nomad.network`;

/**
 * Interfaces on a network of the client's. systemd-nspawn makes or moves them, and the driver gives them the job's addresses when the
 * container has them (launch/inside-setup.ts): nothing is left on the host.
 */
export const lanNetwork: NetworkProvider<LanNetwork> = {
  reserve: async (_machine, plan, { boot, resolvers }) => {
    const addresses = (plan.own?.addresses ?? []).map(addressPart);
    const text = `[Match]\nName=${matchOf(plan)}\n\n${networkdText(plan.own, resolvers, addresses.length === 0)}`;
    return {
      addresses,
      ...(boot ? { networkd: { text, path: NETWORKD_PATH } } : {}),
      warnings: boot || addresses.length > 0 ? [] : [noAddressNote(plan)],
      attach: async () => (addresses.length === 0 ? undefined : fixedNetwork(plan.own?.addresses ?? [])),
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
