import { lanNetwork } from "./lan";
import { grantNetworkRights } from "./namespace";
import type { JoinedNetwork, NetworkPlan, PrivateNetwork } from "./network";
import type { NetworkJob, NetworkProvider, NetworkReservation } from "./provider";

/** The host's own network, or loopback only; neither needs any preparation. */
const nothingToPrepare: NetworkProvider<{ readonly kind: "host" | "none" }> = {
  reserve: async () => ({ addresses: [], warnings: [], attach: async () => undefined }),
};

/** The namespace that Nomad made for the group; the container joins it. */
const groupNetwork: NetworkProvider<JoinedNetwork> = {
  reserve: async (_machine, { path }) => {
    const problem = grantNetworkRights(path);
    return { addresses: [], warnings: problem === undefined ? [] : [problem], attach: async () => undefined };
  },
};

/** Reserves the network of a plan through the provider of its kind. @throws as NetworkProvider.reserve() */
export function reserveNetwork(
  privateNetworks: NetworkProvider<PrivateNetwork>,
  machine: string,
  plan: NetworkPlan,
  job: NetworkJob,
): Promise<NetworkReservation> {
  switch (plan.kind) {
    case "host":
    case "none":
      return nothingToPrepare.reserve(machine, plan, job);
    case "joined":
      return groupNetwork.reserve(machine, plan, job);
    case "lan":
      return lanNetwork.reserve(machine, plan, job);
    case "private":
      return privateNetworks.reserve(machine, plan, job);
  }
}
