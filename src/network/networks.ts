import { grantNetworkRights } from "./namespace";
import type { JoinedNetwork, NetworkPlan } from "./network";
import type { PrivateNetworks } from "./private/private-network";
import type { NetworkJob, NetworkProvider, NetworkReservation } from "./provider";

/** The host's own network; needs no preparation. */
const hostNetwork: NetworkProvider<{ readonly kind: "host" }> = {
  reserve: async () => ({ warnings: [], attach: async () => undefined }),
};

/** The namespace that Nomad made for the group; the container joins it. */
const groupNetwork: NetworkProvider<JoinedNetwork> = {
  reserve: async (_machine, { path }) => {
    const problem = grantNetworkRights(path);
    return { warnings: problem === undefined ? [] : [problem], attach: async () => undefined };
  },
};

/** Reserves the network of a plan through the provider of its kind. @throws as NetworkProvider.reserve() */
export function reserveNetwork(
  privateNetworks: PrivateNetworks,
  machine: string,
  plan: NetworkPlan,
  job: NetworkJob,
): Promise<NetworkReservation> {
  switch (plan.kind) {
    case "host":
      return hostNetwork.reserve(machine, plan, job);
    case "joined":
      return groupNetwork.reserve(machine, plan, job);
    case "private":
      return privateNetworks.reserve(machine, plan, job);
  }
}
