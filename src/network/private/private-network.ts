/**
 * Private networks: systemd-nspawn makes a namespace and a *link*, a pair of interfaces, whose container end is host0. The host's end
 * stands alone (*veth*), or is a port of a bridge that exists as long as it has containers (*zone*), or of a bridge of the operator
 * (*bridge*).
 *
 * Each container has a *record* under /run (records.ts) with ports and addresses; the firewall rules are always made of all records, so
 * that a killed plugin leaves nothing which the next one does not know. Addresses are *static* (the driver assigns them from its pools),
 * *leased* (from a DHCP server), or *external* (a bridge's own network, or the container itself): address-assignment.ts decides when the
 * link has appeared. attachment.ts then follows one container until it exits: the address that Nomad registers, and the targets of its
 * ports.
 */

import { errorText } from "../../lib/errors";
import type { Logger } from "../../lib/logger";
import { Links } from "../../linux/netlink/route";
import { enableForwarding } from "../../linux/sysctl";
import type { MachineResource } from "../../machine/registry";
import type { Container } from "../../supervisor/supervisor";
import { DROP_IN_PATH } from "../../systemd/networkd";
import { addressPart } from "../../values/ip";
import { containerResolvers } from "../dns";
import { disableRouteLocalnet, flushContainerFlows, flushStaleFlows } from "../firewall/forwarding";
import { applyRules } from "../firewall/nftables";
import type { RuleReconciler } from "../firewall/rule-reconciler";
import type { PrivateNetwork } from "../network";
import { networkdText } from "../networkd-text";
import type { NetworkJob, NetworkProvider, NetworkReservation } from "../provider";
import { fixedAddresses } from "./address-assignment";
import { type AddressPools, chooseAddresses, createRecord, withAddresses } from "./address-pool";
import { NetworkAttachment } from "./attachment";
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

interface PrivateNetworksContext {
  readonly log: Logger;
  /** The currently configured address pools. */
  readonly pools: () => AddressPools;
  readonly ruleReconciler: RuleReconciler;
}

/** Private networks: a namespace that systemd-nspawn makes, with a link to the host. */
export class PrivateNetworks implements NetworkProvider<PrivateNetwork>, MachineResource {
  constructor(private readonly context: PrivateNetworksContext) {}

  /**
   * Reserves addresses for a container's private network and applies the rules of its ports, before the container is started.
   *
   * @throws FirewallError if ports cannot be forwarded; LaunchError if something listens on one of them
   */
  async reserve(machine: string, plan: PrivateNetwork, { boot, resolvers }: NetworkJob): Promise<NetworkReservation> {
    const { log, pools } = this.context;
    const { record, warnings } = await withRecords(async (records) => {
      // The download of an image may have taken minutes since this was checked first.
      await refuseTakenPorts(plan.ports);
      const others = (await records.all()).filter((other) => other.machine !== machine);
      const made = createRecord(machine, plan, pools(), others);
      await records.write(made);
      return { record: made, warnings: [...(await enableRules(records, made, log)), ...poolShortage(made, pools())] };
    });
    const fixed = fixedAddresses(record.given, plan.own);
    const own = plan.link === "bridge" ? (plan.own?.addresses ?? []) : record.addresses;
    return {
      warnings,
      addresses: own.map(addressPart),
      ...(boot && fixed !== undefined
        ? { networkd: { text: networkdText(fixed, resolvers, fixed.addresses.length === 0), path: DROP_IN_PATH } }
        : {}),
      attach: (container) => this.#attach(record, boot, container),
    };
  }

  /** The network of a recovered container; its rules are applied again, in case they are missing. */
  async recover(container: Container): Promise<NetworkAttachment | undefined> {
    const { machine, mode } = container.ref;
    const { log } = this.context;
    const record = await readOwn(machine, log);
    if (record === undefined) return undefined;
    try {
      await withRecords(async (records) => applyRules(records, { anyway: true }));
    } catch (error) {
      // The container keeps running, whatever another program did to the host.
      log.warn("forwarded ports of a recovered task may be unreachable", { machine, error: errorText(error) });
    }
    return this.#attach(record, mode === "boot", container);
  }

  /** A record that cannot be read is removed with a warning: the rules are made of the readable ones. */
  async release(machine: string): Promise<void> {
    if (!(await hasRecord(machine))) return;
    await withRecords(async (records) => {
      const record = await readOwn(machine, this.context.log);
      await records.remove(machine);
      const others = await records.all();
      const { bridge } = record ?? {};
      if (bridge !== undefined && others.every((other) => other.bridge !== bridge)) {
        if (record?.link === "zone") removeEmptyBridge(bridge);
        else disableRouteLocalnet(bridge);
      }
      await applyRules(records);
      if (record !== undefined) flushContainerFlows(record);
    });
  }

  async #attach(record: NetworkRecord, boot: boolean, container: Container): Promise<NetworkAttachment> {
    const { machine } = record;
    const { log, pools, ruleReconciler } = this.context;
    // The container runs already: it keeps its network also without name servers.
    const resolvers = await containerResolvers(pools().dns_servers).catch(() => undefined);
    return new NetworkAttachment(record, boot, container, {
      choose: (chosen) => chooseLate(chosen, pools(), log),
      save: (changed) =>
        withRecords(async (records) => {
          // A task that is being destroyed has no record any more.
          if ((await readRecord(machine)) === undefined) return;
          await records.write(changed);
          await applyRules(records);
          flushStaleFlows(changed);
        }),
      keepRules: () => ruleReconciler.hold(),
      warn: (reason) => log.warn("network of a container", { machine, reason }),
      resolvers,
    });
  }
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
  if (changed.length > 0) log.info("enabled IP forwarding for container networks", { set: changed.join(", ") });
  const notes = refused.map(
    (setting) => `The container has no connectivity beyond this client: cannot set sysctl ${setting} = 1.`,
  );
  try {
    await applyRules(records);
    flushStaleFlows(record);
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
    for (const reason of await enableRules(records, chosen, log)) {
      log.warn("network of a container", { machine: record.machine, reason });
    }
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
