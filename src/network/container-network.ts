import { closeSync, openSync, readlinkSync } from "node:fs";
import { isMissing } from "../host/errno";
import { errorText } from "../host/error-text";
import { startTimer } from "../host/long-timer";
import { isAlive, type ProcessIdentity } from "../host/process-info";
import { findLeader, waitForProcess } from "../supervisor/payload";
import { settles } from "../supervisor/settles";
import type { Supervised } from "../supervisor/supervisor";
import { addressing } from "./addressing";
import { holdContainerLease } from "./container-lease";
import { type HostLink, reachedBy, readContainerLink, readHostLink, setUpContainer, setUpHost } from "./container-link";
import { serveLease } from "./dhcp/server";
import { openLoopback } from "./host-loopback";
import { addressPart, isIpv4 } from "./ip";
import { leaseOf } from "./lease";
import { watchNetwork } from "./netlink/events";
import { type LinkManagement, linkManagement, watchLinkStates } from "./networkd";
import { containerPorts } from "./ports";
import type { NetworkRecord } from "./records";
import { distrustLink } from "./sysctls";

/** How long systemd-networkd may take to look at a new link. */
const managementMs = 3_000;
/** How long an IPv4 address is waited for when there is one of IPv6 already: programs that ask for one address want that. */
const secondFamilyMs = 1_000;
/** A container gets its network after the owners of its image's files were changed, which may take its time. */
const startMs = 3_600_000;

/** What a container's network asks of the driver. */
export interface NetworkContext {
  /** Chooses addresses for a container whose record has none, and writes them down. */
  choose(record: NetworkRecord): Promise<NetworkRecord>;
  /** Writes down a record that has changed, and changes the host's rules by it. */
  save(record: NetworkRecord): Promise<void>;
  /** Keeps the host's rules in force until the returned function is called. */
  keepRules(): () => void;
  warn(message: string): void;
  /** Text of a resolv.conf(5) for containers. */
  readonly resolvers: string | undefined;
}

/** What Nomad tells services about a container's network (NetworkOverride). */
export interface NetworkOverride {
  readonly addr: string;
  readonly portMap: Readonly<Record<string, number>>;
  /** Whether services are to be registered with it where the job does not say: it means something to other hosts. */
  readonly autoAdvertise: boolean;
}

/**
 * The private network of one container: sets both ends of its link up when it appears, and follows the container's addresses for
 * as long as it runs.
 */
export class ContainerNetwork {
  readonly #supervised: Supervised;
  readonly #boot: boolean;
  readonly #context: NetworkContext;
  readonly #known = Promise.withResolvers<void>();
  readonly #forgetRestarts: () => void;
  readonly #letGoOfRules: () => void;
  #record: NetworkRecord;
  #namespace: string | undefined;
  #stops: (() => void)[] = [];
  /** What is watched until the link is set up. */
  #earlyStops: (() => void)[] = [];
  #impatient = false;
  /** Index of the host's end, or of the bridge it is attached to, once the link is set up. */
  #hostIndex: number | undefined;
  #unreached: readonly string[] = [];
  /** It has an address of IPv6, and the time for one of IPv4 runs. */
  #onlyIpv6 = false;
  #saving: Promise<void> = Promise.resolve();
  /** A warning said that the host believes the container. */
  #warned = false;
  #unsaved = false;
  #closed = false;

  /** @param boot whether an init system runs in the container, which sees to its own network */
  constructor(record: NetworkRecord, boot: boolean, supervised: Supervised, context: NetworkContext) {
    this.#record = record;
    this.#boot = boot;
    this.#supervised = supervised;
    this.#context = context;
    this.#forgetRestarts = supervised.onRestart(() => this.#begin());
    this.#letGoOfRules = context.keepRules();
    supervised.exit.then(() => this.close());
    this.#begin();
  }

  /** Waits until the container has an address, `ms` at most; false where it has none then. */
  async ready(ms: number): Promise<boolean> {
    await settles(Promise.race([this.#known.promise, this.#supervised.exit]), ms);
    await this.#saving;
    return this.#record.addresses.length > 0;
  }

  /** Addresses that the container has, and this client does not reach by its link. */
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

  /** Lets go of the container's namespace; what is set up stays. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forgetRestarts();
    this.#letGoOfRules();
    this.#letGo();
    this.#known.resolve();
  }

  /** Also after each reboot of the container, which has a new namespace then. */
  #begin(): void {
    this.#letGo();
    this.#follow().catch((error: unknown) => this.#failed(error));
  }

  async #follow(): Promise<void> {
    const main = this.#supervised.mainPid();
    if (main === undefined) return;
    const leader = await waitForProcess(main, () => findConnectedLeader(main), startMs);
    if (leader === undefined || this.#closed || this.#namespace !== undefined) return;
    const fd = openSync(`/proc/${leader.pid}/ns/net`, "r");
    this.#stops.push(() => closeSync(fd));
    this.#namespace = `/proc/self/fd/${fd}`;
    if (!isAlive(leader)) {
      this.#letGo();
      return;
    }
    const look = () => this.#look();
    this.#stops.push(watchNetwork(this.#namespace, look));
    this.#earlyStops.push(
      watchNetwork(undefined, look),
      watchLinkStates(look),
      startTimer(managementMs, () => this.#lose(look)),
    );
    look();
  }

  #lose(look: () => void): void {
    this.#impatient = true;
    look();
  }

  #look(): void {
    try {
      if (this.#namespace !== undefined && (this.#hostIndex !== undefined || this.#arrange(this.#namespace)))
        this.#notice(this.#namespace);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Sets the link up once it is known how; false while that is not so. */
  #arrange(namespace: string): boolean {
    const container = readContainerLink(namespace);
    const bridged = this.#record.link !== "veth";
    const host = container === undefined ? undefined : readHostLink(container.peer, bridged);
    if (container === undefined || host === undefined) return false;
    this.#distrust(host);
    const decision = addressing({
      record: this.#record,
      boot: this.#boot,
      management: this.#management(host.index),
      host: host.addresses,
      container: container.addresses,
    });
    if (decision.kind === "wait") {
      // systemd-networkd gives its end an address once the other one is up.
      if (!this.#boot) setUpContainer(namespace, undefined);
      return false;
    }
    if (decision.kind === "give" && decision.given === undefined) {
      this.#choose();
      return false;
    }
    const given = decision.kind === "give" || decision.kind === "lend" ? decision.given : undefined;
    if (decision.kind === "give") {
      setUpHost(host, given);
      const lease = leaseOf(given, this.#context.resolvers);
      if (lease !== undefined) this.#stops.push(serveLease(host.index, container.mac, lease));
    }
    // Whoever has addresses already is not to be interfered with; an init system without any from us sets its link up itself.
    if (container.addresses.length === 0 && (given !== undefined || !this.#boot)) setUpContainer(namespace, given);
    if (decision.kind === "ask") {
      const stop = holdContainerLease(namespace, container, this.#record.leased, {
        remember: (leased) => this.#remember(leased),
        failed: (error) => this.#failed(error),
      });
      this.#stops.push(stop);
    }
    if (this.#record.ports.length > 0) openLoopback(host);
    this.#hostIndex = host.index;
    for (const stop of this.#earlyStops.splice(0)) stop();
    return true;
  }

  /** Before either end is up, unless another program sets links up; the bridge of a zone is there for containers alone. */
  #distrust({ end, name }: HostLink): void {
    const links = new Set([end.name, ...(this.#record.link === "zone" ? [name] : [])]);
    const refused = [...links].flatMap(distrustLink);
    if (refused.length === 0 || this.#warned) return;
    this.#warned = true;
    this.#context.warn(`The host believes what the container says about routes: ${refused.join(", ")} could not be 0.`);
  }

  #management(index: number): LinkManagement {
    const found = linkManagement(index);
    return found === "unknown" && this.#impatient ? "unmanaged" : found;
  }

  #choose(): void {
    this.#queue(async () => {
      if (this.#record.given === undefined) this.#record = await this.#context.choose(this.#record);
      this.#look();
    });
  }

  /** Follows the container's addresses. */
  #notice(namespace: string): void {
    const all = readContainerLink(namespace)?.addresses ?? [];
    const reached = this.#hostIndex === undefined ? [] : reachedBy(this.#hostIndex, all);
    // Behind a bridge are others who reach it, even where this host does not.
    const found = this.#record.link === "bridge" ? all : reached;
    this.#unreached = all.filter((address) => !found.includes(address));
    const { addresses, targets } = this.#record;
    if (found.length > 0 && (found.join() !== addresses.join() || reached.join() !== targets.join())) {
      this.#save({ ...this.#record, addresses: found, targets: reached });
    }
    if (found.some(isIpv4)) this.#known.resolve();
    else if (found.length > 0 && !this.#onlyIpv6) {
      this.#onlyIpv6 = true;
      this.#stops.push(startTimer(secondFamilyMs, () => this.#known.resolve()));
    }
  }

  #remember(leased: string): void {
    if (leased === this.#record.leased) return;
    this.#save({ ...this.#record, leased });
  }

  /** Of records that follow each other while another one is written, the last one is. */
  #save(record: NetworkRecord): void {
    this.#record = record;
    if (this.#unsaved) return;
    this.#unsaved = true;
    this.#queue(() => {
      this.#unsaved = false;
      return this.#context.save(this.#record);
    });
  }

  #queue(work: () => Promise<void>): void {
    this.#saving = this.#saving.then(work).catch((error: unknown) => this.#failed(error));
  }

  #letGo(): void {
    this.#namespace = undefined;
    this.#hostIndex = undefined;
    this.#impatient = false;
    this.#onlyIpv6 = false;
    for (const stop of [...this.#earlyStops.splice(0), ...this.#stops.splice(0)]) stop();
  }

  #failed(error: unknown): void {
    if (!this.#closed) this.#context.warn(`The container's network could not be set up: ${errorText(error)}`);
  }
}

/** The container's PID 1 once it has its own network namespace, which it makes after it was forked. */
function findConnectedLeader(main: number): ProcessIdentity | undefined {
  const leader = findLeader(main);
  if (leader === undefined) return undefined;
  try {
    const own = readlinkSync("/proc/self/ns/net");
    return readlinkSync(`/proc/${leader.pid}/ns/net`) === own ? undefined : leader;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
