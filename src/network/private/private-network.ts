import type { PluginOptions } from "../../config/plugin/options";
import { errorText } from "../../lib/errors";
import type { Logger } from "../../lib/logger";
import { Links } from "../../linux/netlink/route";
import { enableForwarding } from "../../linux/sysctl";
import type { Container } from "../../supervisor/supervisor";
import { hostResolvers } from "../dns";
import { forgetContainer, forgetEarlierFlows } from "../firewall/conntrack";
import { disableRouteLocalnet } from "../firewall/loopback";
import { applyRules } from "../firewall/nftables";
import type { RuleReconciler } from "../firewall/rule-reconciler";
import type { PrivateNetwork } from "../network";
import { type AddressPools, chooseAddresses, newRecord, withAddresses } from "./address-pool";
import { ContainerNetwork } from "./attachment";
import { refuseTakenPorts } from "./listeners";
import { hasRecord, type NetworkRecord, RecordError, type Records, readRecord, withRecords } from "./records";

/**
 * A note about a container without an address that services can be registered with.
 *
 * @param ms how long the driver waited for one
 * @param unreached its addresses, "ADDRESS/PREFIX", that this client cannot reach through its link
 */
export function addressNote(ms: number, unreached: readonly string[]): string {
  const seconds = `${ms / 1000} s`;
  const until = "service registration needs an address; port forwards start when one is assigned.";
  return unreached.length === 0
    ? `The container has no address after ${seconds}: ${until}`
    : `The container has no address that this client can reach after ${seconds}, only ${unreached.join(" and ")}, not reachable through its interface (see \`networkctl status\` and \`ip route\`): ${until}`;
}

/** The parts of the driver that a container's network needs. */
export interface NetworkSurroundings {
  readonly log: Logger;
  readonly config: { readonly options: Pick<PluginOptions, "network"> };
  readonly ruleReconciler: RuleReconciler;
}

/** A container's network before its start. */
export interface ReservedNetwork {
  readonly record: NetworkRecord;
  /** Notes for the job's author. */
  readonly notes: readonly string[];
}

/**
 * Reserves what a container's private network needs on the host, before it is started: addresses, and the rules of its ports.
 * releaseNetwork() releases it.
 *
 * @throws FirewallError if ports cannot be forwarded; LaunchError if a program listens on one
 */
export async function reserveNetwork(
  machine: string,
  network: PrivateNetwork,
  pools: AddressPools,
  log: Logger,
): Promise<ReservedNetwork> {
  return withRecords(async (records) => {
    // An image's download may have taken minutes since the first check.
    await refuseTakenPorts(network.ports);
    const others = (await records.all()).filter((record) => record.machine !== machine);
    const record = newRecord(machine, network, pools, others);
    await records.write(record);
    const notes = [...(await enableRules(records, record, log)), ...poolShortage(record, pools)];
    return { record, notes };
  });
}

/** Connects a container that was started with a reserved network, or recovered. */
export async function connectNetwork(
  record: NetworkRecord,
  boot: boolean,
  container: Container,
  { log, config, ruleReconciler }: NetworkSurroundings,
): Promise<ContainerNetwork> {
  const { machine } = record;
  // The container is running: without name servers it still has its network.
  const resolvers = await hostResolvers().catch(() => undefined);
  const { network: pools } = config.options;
  return new ContainerNetwork(record, boot, container, {
    choose: (chosen) => chooseLate(chosen, pools, log),
    save: (changed) =>
      withRecords(async (records) => {
        // The record of a task that is being destroyed is gone already.
        if ((await readRecord(machine)) === undefined) return;
        await records.write(changed);
        await applyRules(records);
        forgetEarlierFlows(changed);
      }),
    keepRules: () => ruleReconciler.hold(),
    warn: (message) => log.warn(message, { machine }),
    resolvers,
  });
}

/** The network of a recovered container; its rules are applied in case they are not in force. */
export async function recoverNetwork(machine: string, log: Logger): Promise<NetworkRecord | undefined> {
  const record = await readOwn(machine, log);
  if (record === undefined) return undefined;
  try {
    await withRecords(async (records) => applyRules(records, { anyway: true }));
  } catch (error) {
    // The container runs, whatever another program did to the host.
    log.warn("forwarded ports of a recovered task may be unreachable: cannot apply nftables rules", {
      machine,
      error: errorText(error),
    });
  }
  return record;
}

/**
 * Releases what a container's network used on the host; does nothing if it used nothing. An unreadable record is removed with a
 * warning: the rules are made from the readable ones.
 */
export async function releaseNetwork(machine: string, log: Pick<Logger, "warn">): Promise<void> {
  if (!(await hasRecord(machine))) return;
  await withRecords(async (records) => {
    const record = await readOwn(machine, log);
    await records.remove(machine);
    const others = await records.all();
    const { bridge } = record ?? {};
    if (bridge !== undefined && others.every((other) => other.bridge !== bridge)) {
      if (record?.link === "zone") removeEmptyBridge(bridge);
      else disableRouteLocalnet(bridge);
    }
    await applyRules(records);
    if (record !== undefined) forgetContainer(record);
  });
}

async function readOwn(machine: string, log: Pick<Logger, "warn">): Promise<NetworkRecord | undefined> {
  try {
    return await readRecord(machine);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    log.warn("cannot read the record of a container's network", { machine, error: errorText(error) });
    return undefined;
  }
}

async function enableRules(records: Records, record: NetworkRecord, log: Logger): Promise<string[]> {
  if (record.ports.length === 0 && record.given === undefined) return [];
  using links = new Links();
  const { changed, refused } = enableForwarding(links.routes());
  if (changed.length > 0) {
    log.info("enabled IP forwarding for container networks", { set: changed.join(", ") });
  }
  const notes = refused.map(
    (setting) => `The container has no connectivity beyond this client: cannot set sysctl ${setting} = 1.`,
  );
  try {
    await applyRules(records);
    forgetEarlierFlows(record);
    return notes;
  } catch (error) {
    if (record.ports.length > 0) throw error;
    return [`The container has no connectivity beyond this client: ${errorText(error)}`];
  }
}

async function chooseLate(record: NetworkRecord, pools: AddressPools, log: Logger): Promise<NetworkRecord> {
  return withRecords(async (records) => {
    if ((await readRecord(record.machine)) === undefined) return record;
    const others = (await records.all()).filter(({ machine }) => machine !== record.machine);
    const given = chooseAddresses(record, pools, others);
    const chosen = withAddresses(record, given);
    await records.write(chosen);
    for (const note of await enableRules(records, chosen, log)) log.warn(note, { machine: record.machine });
    return chosen;
  });
}

function poolShortage({ given, bridge }: NetworkRecord, pools: AddressPools): string[] {
  if (given === undefined || given.ipv4 !== undefined || pools.ipv4_pool === "none") return [];
  return [
    `The container has no IPv4 address: ${bridge === undefined ? "" : `zone ${bridge} is full, or `}no address is free in network.ipv4_pool of the nspawn plugin's config.`,
  ];
}

/** systemd-nspawn removes it as well, unless it was killed. */
function removeEmptyBridge(name: string): void {
  using links = new Links();
  const all = links.links();
  const bridge = all.find((link) => link.name === name);
  if (bridge !== undefined && all.every((link) => link.bridge !== bridge.index)) links.remove(name);
}
