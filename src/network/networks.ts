import type { Container } from "../supervisor/supervisor";
import { grantNetworkRights } from "./namespace";
import type { JoinedNetwork, NetworkPlan, PrivateNetwork } from "./network";
import type { NetworkAttachment } from "./private/attachment";

/** What a network depends on besides its plan. */
export interface NetworkJob {
  /** Whether an init system runs in the container; it may manage the network itself. */
  readonly boot: boolean;
  /** Text of a resolv.conf(5) with name servers that the container reaches. */
  readonly resolvers: string | undefined;
}

/** The network of a container before its start. */
export interface NetworkReservation {
  /** A drop-in for systemd-networkd in the container. */
  readonly networkd?: string;
  /** The container's addresses, if they are known before it starts. */
  readonly addresses: readonly string[];
  /** Notes for the job's author, as sentences. */
  readonly warnings: readonly string[];
  /** Connects the container when it is started; undefined if it has no network of its own. */
  attach(container: Container): Promise<NetworkAttachment | undefined>;
}

/** How containers of one kind of network are connected. What reserve() makes, the MachineResource of the provider releases. */
export interface NetworkProvider<Plan extends NetworkPlan = NetworkPlan> {
  /** @throws Error if the host cannot give the container that network */
  reserve(machine: string, plan: Plan, job: NetworkJob): Promise<NetworkReservation>;
}

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
    case "private":
      return privateNetworks.reserve(machine, plan, job);
  }
}
