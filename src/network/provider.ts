import type { Container } from "../supervisor/supervisor";
import type { NetworkPlan, TaskNetwork } from "./network";

/** What a network depends on besides its plan. */
export interface NetworkJob {
  /** Whether an init system runs in the container; it may manage the network itself. */
  readonly boot: boolean;
  /** Text of a resolv.conf(5) with name servers that the container reaches. */
  readonly resolvers: string | undefined;
  /** Gets a sentence for the log, about what happens to the network later. */
  readonly warn: (message: string) => void;
}

/** The network of a container before its start. */
export interface NetworkReservation {
  /** A file for systemd-networkd in the container, and its path there. */
  readonly networkd?: { readonly text: string; readonly path: string };
  /** The container's addresses, if they are known before it starts. */
  readonly addresses: readonly string[];
  /** Notes for the job's author, as sentences. */
  readonly warnings: readonly string[];
  /** Connects the container when it is started; undefined if it has no network of its own. */
  attach(container: Container): Promise<TaskNetwork | undefined>;
}

/** How containers of one kind of network are connected. What reserve() makes, the MachineResource of the provider releases. */
export interface NetworkProvider<Plan extends NetworkPlan = NetworkPlan> {
  /** @throws Error if the host cannot give the container that network */
  reserve(machine: string, plan: Plan, job: NetworkJob): Promise<NetworkReservation>;
}
