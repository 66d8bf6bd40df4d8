import { type ContainerFiles, writeNetworkdFile } from "../machine/files";
import { openJoinedNamespace } from "../network/group-network";
import type { NetworkPlan } from "../network/network";
import { networkdDropIn } from "../network/private/networkd-drop-in";
import { reserveNetwork } from "../network/private/private-network";
import type { NetworkRecord } from "../network/private/records";
import type { PrepareContext } from "./prepare";

/** A task's network before its container is started. */
export interface PreparedNetwork {
  /** Absent if the container has no private network. */
  readonly record: NetworkRecord | undefined;
  readonly files: Pick<ContainerFiles, "networkd">;
  /** Notes for the job's author, as sentences. */
  readonly notes: readonly string[];
}

/** What it depends on besides the plan. */
export interface NetworkPreparation {
  readonly boot: boolean;
  /** Text of a resolv.conf(5) that the container can use. */
  readonly resolvers: string | undefined;
  readonly context: Pick<PrepareContext, "plugin" | "log">;
}

/**
 * Prepares a task's network for its container; releaseContainer() releases it.
 *
 * @throws FirewallError if ports cannot be forwarded, Error if the group has no such network
 */
export async function prepareNetwork(
  machine: string,
  plan: NetworkPlan,
  { boot, resolvers, context }: NetworkPreparation,
): Promise<PreparedNetwork> {
  switch (plan.kind) {
    case "host":
      return { record: undefined, files: {}, notes: [] };
    case "joined": {
      const problem = openJoinedNamespace(plan.path);
      return { record: undefined, files: {}, notes: problem === undefined ? [] : [problem] };
    }
    case "private": {
      const { record, notes } = await reserveNetwork(machine, plan, context.plugin.network, context.log);
      if (!boot || record.given === undefined) return { record, files: {}, notes };
      return {
        record,
        files: { networkd: await writeNetworkdFile(machine, networkdDropIn(record.given, resolvers)) },
        notes,
      };
    }
  }
}
