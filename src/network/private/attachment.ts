import { closeSync, openSync, readlinkSync } from "node:fs";
import { settles, startTimer } from "../../lib/deadline";
import { errorText, ifThere } from "../../lib/errors";
import { readCgroupLayout } from "../../linux/cgroup/layout";
import { watchNetwork } from "../../linux/netlink/watch";
import { isAlive, type ProcessIdentity } from "../../linux/proc";
import { distrustLink } from "../../linux/sysctl";
import { ContainerSearch, waitForProcess } from "../../nspawn/processes";
import type { Container } from "../../supervisor/supervisor";
import { type LinkManagement, linkManagement, networkdRuns, watchLinkStates } from "../../systemd/networkd";
import { addressPart, isIpv4 } from "../../values/ip";
import { HOST_LINK } from "../../values/link-names";
import { holdContainerLease } from "../dhcp/client";
import { leaseOf, serveLease } from "../dhcp/server";
import { enableRouteLocalnet } from "../firewall/forwarding";
import { setUpInterface } from "../interface";
import { grantNetworkRights } from "../namespace";
import { containerPorts, type NetworkOverride, type TaskNetwork } from "../network";
import { addressing } from "./address-assignment";
import {
  type ContainerLink,
  type HostLink,
  readContainerLink,
  readHostLink,
  routesTo,
  setUpContainer,
  setUpHost,
} from "./link";
import type { NetworkRecord } from "./records";

/** How long systemd-networkd may take to process a new link. */
const MANAGEMENT_MS = 3_000;
/** How long to wait for an IPv4 address if an IPv6 address exists already: programs that want a single address prefer IPv4. */
const SECOND_FAMILY_MS = 1_000;
/** A container's network is set up after the ownership of its image's files was changed, which can take long. */
const START_MS = 3_600_000;

interface NetworkContext {
  /** Chooses and records addresses for a container whose record has none. */
  choose(record: NetworkRecord): Promise<NetworkRecord>;
  /** Writes a changed record, and updates the host's rules from it. */
  save(record: NetworkRecord): Promise<void>;
  /** Keeps the host's rules in force until the returned function is called. */
  keepRules(): () => void;
  warn(message: string): void;
  /** Text of a resolv.conf(5) for containers. */
  readonly resolvers: string | undefined;
}

/**
 * The private network of one container: configures both ends of its link when it appears, and follows the container's addresses
 * while it runs.
 */
export class NetworkAttachment implements TaskNetwork {
  readonly #supervised: Container;
  readonly #addressKnown = Promise.withResolvers<void>();
  readonly #stopRestartEvents: () => void;
  readonly #releaseRules: () => void;
  #record: NetworkRecord;
  #namespace: string | undefined;
  #stops: (() => void)[] = [];
  /** Watchers that are needed until the link is configured. */
  #earlyStops: (() => void)[] = [];
  #managementTimedOut = false;
  /** Index of the host's end, or of the bridge it is attached to, once the link is configured. */
  #hostIndex: number | undefined;
  #unreached: readonly string[] = [];
  /** It has an IPv6 address, and the wait for an IPv4 one is running. */
  #onlyIpv6 = false;
  #saving: Promise<void> = Promise.resolve();
  /** The warning about router advertisements was logged. */
  #warned = false;
  #unsaved = false;
  #closed = false;

  /** @param boot whether an init system runs in the container, which configures its own network */
  constructor(
    record: NetworkRecord,
    private readonly boot: boolean,
    container: Container,
    private readonly context: NetworkContext,
  ) {
    this.#record = record;
    this.#supervised = container;
    this.#stopRestartEvents = container.onRestart(() => this.#start());
    this.#releaseRules = context.keepRules();
    container.exit.then(() => this.close());
    this.#start();
  }

  /** Waits up to `ms` until the container has an address; false if it still has none. */
  async ready(ms: number): Promise<boolean> {
    await settles(Promise.race([this.#addressKnown.promise, this.#supervised.exit]), ms);
    await this.#saving;
    return this.#record.addresses.length > 0;
  }

  /** What the host's end of the link is; see PrivateNetwork. */
  get link(): NetworkRecord["link"] {
    return this.#record.link;
  }

  /** Addresses of the container that this client cannot reach through its link. */
  get unreached(): readonly string[] {
    return this.#unreached;
  }

  /** Undefined while the container has no address. */
  override(): NetworkOverride | undefined {
    const { addresses } = this.#record;
    const addr = addresses.find(isIpv4) ?? addresses[0];
    if (addr === undefined) return undefined;
    return {
      addr: addressPart(addr),
      portMap: containerPorts(this.#record.ports),
      autoAdvertise: this.#record.link === "bridge",
    };
  }

  /** Releases the container's namespace; the configuration stays. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopRestartEvents();
    this.#releaseRules();
    this.#detach();
    this.#addressKnown.resolve();
  }

  /** Also runs after each reboot of the container, which then has a new namespace. */
  #start(): void {
    this.#detach();
    this.#attach().catch((error: unknown) => this.#failed(error));
  }

  async #attach(): Promise<void> {
    const main = this.#supervised.mainPid();
    if (main === undefined) return;
    const search = new ContainerSearch(main, "boot");
    const leader = await waitForProcess(main, () => findConnectedLeader(search), START_MS);
    if (leader === undefined || this.#closed || this.#namespace !== undefined) return;
    const fd = openSync(`/proc/${leader.pid}/ns/net`, "r");
    this.#stops.push(() => closeSync(fd));
    this.#namespace = `/proc/self/fd/${fd}`;
    if (!isAlive(leader)) {
      this.#detach();
      return;
    }
    const refused = grantNetworkRights(this.#namespace);
    if (refused !== undefined) this.context.warn(refused);
    const update = () => this.#update();
    this.#stops.push(watchNetwork(this.#namespace, update));
    this.#earlyStops.push(
      watchNetwork(undefined, update),
      watchLinkStates(update),
      startTimer(MANAGEMENT_MS, () => {
        this.#managementTimedOut = true;
        update();
      }),
    );
    update();
  }

  #update(): void {
    try {
      if (this.#namespace !== undefined && (this.#hostIndex !== undefined || this.#configure(this.#namespace)))
        this.#followAddresses(this.#namespace);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Configures the link once it is decided how; false until then. */
  #configure(namespace: string): boolean {
    const container = this.#containerLink(namespace);
    const bridged = this.#record.link !== "veth";
    const host = container === undefined ? undefined : readHostLink(container.peer, bridged);
    if (container === undefined || host === undefined) return false;
    this.#hardenLink(host);
    const decision = addressing({
      record: this.#record,
      boot: this.boot,
      networkd: networkdRuns(readCgroupLayout()),
      management: this.#management(host.index),
      host: host.addresses,
      container: container.addresses,
    });
    if (decision.kind === "pending") {
      // systemd-networkd assigns its end an address once the other end is up.
      if (!this.boot) setUpContainer(namespace, undefined);
      return false;
    }
    if (decision.kind === "static" && decision.given === undefined) {
      this.#choose();
      return false;
    }
    const given = decision.kind === "static" || decision.kind === "networkd-subnet" ? decision.given : undefined;
    if (decision.kind === "static") {
      setUpHost(host, given);
      const lease = leaseOf(given, this.context.resolvers);
      if (lease !== undefined) this.#stops.push(serveLease(host.index, container.mac, lease));
    }
    // Existing addresses are left alone; an init system without any from the driver configures its link itself.
    if (container.addresses.length === 0 && (given !== undefined || !this.boot)) setUpContainer(namespace, given);
    if (decision.kind === "dhcp-client") {
      const link = { namespace, index: container.index, mac: container.mac };
      const stop = holdContainerLease(link, this.#record.leased, {
        remember: (leased) => this.#remember(leased),
        failed: (error) => this.#failed(error),
      });
      this.#stops.push(stop);
    }
    if (this.#record.ports.length > 0) enableRouteLocalnet(host);
    this.#hostIndex = host.index;
    for (const stop of this.#earlyStops.splice(0)) stop();
    return true;
  }

  #containerLink(namespace: string): ContainerLink | undefined {
    const found = readContainerLink(namespace);
    const { mac } = this.#record;
    if (found === undefined || mac === undefined || found.mac === mac.toLowerCase()) return found;
    setUpInterface(namespace, { name: HOST_LINK, mac, addresses: [], gateways: [], up: false });
    return readContainerLink(namespace);
  }

  /** Runs before either end is up, unless another program sets links up; the bridge of a zone exists for containers only. */
  #hardenLink({ end, name }: HostLink): void {
    const links = new Set([end.name, ...(this.#record.link === "zone" ? [name] : [])]);
    const refused = [...links].flatMap(distrustLink);
    if (refused.length === 0 || this.#warned) return;
    this.#warned = true;
    this.context.warn(`The host may accept routes from the container: cannot set ${refused.join(", ")} to 0.`);
  }

  #management(index: number): LinkManagement {
    const found = linkManagement(index);
    return found === "unknown" && this.#managementTimedOut ? "unmanaged" : found;
  }

  #choose(): void {
    this.#queue(async () => {
      if (this.#record.given === undefined) this.#record = await this.context.choose(this.#record);
      this.#update();
    });
  }

  #followAddresses(namespace: string): void {
    const all = readContainerLink(namespace)?.addresses ?? [];
    const reached = this.#hostIndex === undefined ? [] : routesTo(this.#hostIndex, all);
    // Hosts behind the bridge can reach it, even if this host cannot.
    const found = this.#record.link === "bridge" ? all : reached;
    this.#unreached = all.filter((address) => !found.includes(address));
    const { addresses, targets } = this.#record;
    if (found.length > 0 && (found.join() !== addresses.join() || reached.join() !== targets.join())) {
      this.#save({ ...this.#record, addresses: found, targets: reached });
    }
    if (found.some(isIpv4)) this.#addressKnown.resolve();
    else if (found.length > 0 && !this.#onlyIpv6) {
      this.#onlyIpv6 = true;
      this.#stops.push(startTimer(SECOND_FAMILY_MS, () => this.#addressKnown.resolve()));
    }
  }

  #remember(leased: string): void {
    if (leased === this.#record.leased) return;
    this.#save({ ...this.#record, leased });
  }

  /** If several changes arrive while one is written, only the last is written afterwards. */
  #save(record: NetworkRecord): void {
    this.#record = record;
    if (this.#unsaved) return;
    this.#unsaved = true;
    this.#queue(() => {
      this.#unsaved = false;
      return this.context.save(this.#record);
    });
  }

  #queue(work: () => Promise<void>): void {
    this.#saving = this.#saving.then(work).catch((error: unknown) => this.#failed(error));
  }

  #detach(): void {
    this.#namespace = undefined;
    this.#hostIndex = undefined;
    this.#managementTimedOut = false;
    this.#onlyIpv6 = false;
    for (const stop of [...this.#earlyStops.splice(0), ...this.#stops.splice(0)]) stop();
  }

  #failed(error: unknown): void {
    if (!this.#closed) this.context.warn(`Cannot set up the container's network: ${errorText(error)}`);
  }
}

/** The container's PID 1 once it has its own network namespace, which it creates after the fork. */
function findConnectedLeader(search: ContainerSearch): ProcessIdentity | undefined {
  const leader = search.leader();
  if (leader === undefined) return undefined;
  const own = readlinkSync("/proc/self/ns/net");
  const its = ifThere(() => readlinkSync(`/proc/${leader.pid}/ns/net`), own);
  return its === own ? undefined : leader;
}
