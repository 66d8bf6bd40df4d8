import type { PluginOptions } from "../config/plugin-options";
import { errorText } from "../host/error-text";
import type { Logger } from "../plugin/logger";
import type { Supervised } from "../supervisor/supervisor";
import { ContainerNetwork } from "./container-network";
import { applyRules } from "./firewall";
import { closeLoopback } from "./host-loopback";
import { hostResolvers } from "./host-resolvers";
import { refuseTakenPorts } from "./listeners";
import { Links } from "./netlink/links";
import type { PrivateNetwork } from "./plan";
import { hasRecord, type NetworkRecord, RecordError, type Records, readRecord, withRecords } from "./records";
import { type AddressPools, chooseAddresses, newRecord, withAddresses } from "./reserve";
import type { RulesKeeper } from "./rules-keeper";
import { forgetContainer, forgetEarlierFlows } from "./stale-flows";
import { enableForwarding } from "./sysctls";

/** What of the driver a container's network needs. */
export interface NetworkSurroundings {
  readonly log: Logger;
  readonly config: { readonly options: Pick<PluginOptions, "network"> };
  readonly rulesKeeper: RulesKeeper;
}

/** A container's network before its start. */
export interface ReservedNetwork {
  readonly record: NetworkRecord;
  /** What the job's author should know, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Reserves what a container's private network needs of the host, before it is started: addresses, and the rules of its ports.
 * releaseNetwork() gives it back.
 *
 * @throws FirewallError where ports cannot be forwarded; LaunchError where something listens on one
 */
export async function reserveNetwork(
  machine: string,
  network: PrivateNetwork,
  pools: AddressPools,
  log: Logger,
): Promise<ReservedNetwork> {
  return withRecords(async (records) => {
    // An image's download may have taken minutes since this was looked at first.
    await refuseTakenPorts(network.ports);
    const others = (await records.all()).filter((record) => record.machine !== machine);
    const record = newRecord(machine, network, pools, others);
    await records.write(record);
    const notes = [...(await serve(records, record, log)), ...shortage(record, pools)];
    return { record, notes };
  });
}

/** Connects a container that was started with a reserved network, or found again. */
export async function connectNetwork(
  record: NetworkRecord,
  boot: boolean,
  supervised: Supervised,
  { log, config, rulesKeeper }: NetworkSurroundings,
): Promise<ContainerNetwork> {
  const { machine } = record;
  // The container runs already: without name servers it still has its network.
  const resolvers = await hostResolvers().catch(() => undefined);
  const { network: pools } = config.options;
  return new ContainerNetwork(record, boot, supervised, {
    choose: (chosen) => chooseLate(chosen, pools, log),
    save: (changed) =>
      withRecords(async (records) => {
        // A task that is being destroyed has none any more.
        if ((await readRecord(machine)) === undefined) return;
        await records.write(changed);
        await applyRules(records);
        forgetEarlierFlows(changed);
      }),
    keepRules: () => rulesKeeper.hold(),
    warn: (message) => log.warn(message, { machine }),
    resolvers,
  });
}

/** The network of a container that was found again; its rules are put in force, in case they are not. */
export async function recoverNetwork(machine: string, log: Logger): Promise<NetworkRecord | undefined> {
  const record = await readOwn(machine, log);
  if (record === undefined) return undefined;
  try {
    await withRecords(async (records) => applyRules(records, { anyway: true }));
  } catch (error) {
    // The container runs, whatever somebody else did to the host.
    log.warn("the ports of a recovered task may not be reached", { machine, error: errorText(error) });
  }
  return record;
}

/**
 * Gives back what a container's network had of the host; does nothing where it had nothing. A record that cannot be read goes with a
 * warning: the rules are made of those that can be.
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
      else closeLoopback(bridge);
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
    log.warn("the record of a container's network cannot be read", { machine, error: errorText(error) });
    return undefined;
  }
}

async function serve(records: Records, record: NetworkRecord, log: Logger): Promise<string[]> {
  if (record.ports.length === 0 && record.given === undefined) return [];
  using links = new Links();
  const { changed, refused } = enableForwarding(links.routes());
  if (changed.length > 0) {
    log.info("this client passes on packets from now on, as containers need it", { set: changed.join(", ") });
  }
  const notes = refused.map(
    (setting) => `The container reaches no other hosts: ${setting} = 1 is needed, and could not be set.`,
  );
  try {
    await applyRules(records);
    forgetEarlierFlows(record);
    return notes;
  } catch (error) {
    if (record.ports.length > 0) throw error;
    return [`The container reaches no other hosts: ${errorText(error)}`];
  }
}

async function chooseLate(record: NetworkRecord, pools: AddressPools, log: Logger): Promise<NetworkRecord> {
  return withRecords(async (records) => {
    if ((await readRecord(record.machine)) === undefined) return record;
    const others = (await records.all()).filter(({ machine }) => machine !== record.machine);
    const given = chooseAddresses(record, pools, others);
    const chosen = withAddresses(record, given);
    await records.write(chosen);
    for (const note of await serve(records, chosen, log)) log.warn(note, { machine: record.machine });
    return chosen;
  });
}

function shortage({ given, bridge }: NetworkRecord, pools: AddressPools): string[] {
  if (given === undefined || given.ipv4 !== undefined || pools.ipv4_pool === "none") return [];
  return [
    `The container gets no IPv4 address: ${bridge === undefined ? "all" : `the zone ${bridge} is full, or all`} of network.ipv4_pool in the nspawn plugin's config is in use on this client.`,
  ];
}

/** systemd-nspawn does it as well, unless it was killed. */
function removeEmptyBridge(name: string): void {
  using links = new Links();
  const all = links.links();
  const bridge = all.find((link) => link.name === name);
  if (bridge !== undefined && all.every((link) => link.bridge !== bridge.index)) links.remove(name);
}
