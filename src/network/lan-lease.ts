import { closeSync, openSync, readlinkSync } from "node:fs";
import { settles } from "../lib/deadline";
import { errorText, ifThere } from "../lib/errors";
import { Links } from "../linux/netlink/route";
import { inNetworkNamespace } from "../linux/network-namespace";
import { isAlive, type ProcessIdentity } from "../linux/proc";
import { ContainerSearch, waitForProcess } from "../nspawn/processes";
import type { Container } from "../supervisor/supervisor";
import { addressPart, formatSubnet, isLocal } from "../values/ip";
import { holdContainerLease } from "./dhcp/client";
import { findInterface, type InterfaceName } from "./interface";
import type { NetworkOverride, TaskNetwork } from "./network";

/** Preparing a container's root, which comes before its interfaces, can take long. */
const START_MS = 3_600_000;
/** More addresses than an interface has before its program runs. */
const MOST = 1000;

/** A container's interface, and the address that it has already. */
interface FoundInterface {
  readonly index: number;
  readonly mac: string;
  /** "ADDRESS/PREFIX" of IPv4, from an earlier plugin process. */
  readonly leased: string | undefined;
}

/**
 * The address of a command on a network of the client's: leased from the DHCP server there, as an init system would, and renewed while the
 * container runs. A later plugin process finds the address on the interface, and asks for the same.
 */
export class LanLease implements TaskNetwork {
  readonly link = "lan";
  readonly unreached: readonly string[] = [];
  readonly #known = Promise.withResolvers<void>();
  #address: string | undefined;
  #stops: (() => void)[] = [];
  #closed = false;

  /** @param warn gets a sentence for the log */
  constructor(
    private readonly container: Container,
    private readonly which: InterfaceName,
    private readonly warn: (message: string) => void,
  ) {
    container.exit.then(() => this.close());
    this.#start().catch((error: unknown) => this.#failed(error));
  }

  async ready(ms: number): Promise<boolean> {
    await settles(Promise.race([this.#known.promise, this.container.exit]), ms);
    return this.#address !== undefined;
  }

  /** Other hosts of the network reach the address. */
  override(): NetworkOverride | undefined {
    return this.#address === undefined ? undefined : { addr: this.#address, portMap: {}, autoAdvertise: true };
  }

  close(): void {
    this.#closed = true;
    for (const stop of this.#stops.splice(0)) stop();
    this.#known.resolve();
  }

  async #start(): Promise<void> {
    const main = this.container.mainPid();
    if (main === undefined) return;
    const search = new ContainerSearch(main, this.container.ref.mode);
    const leader = await waitForProcess(main, () => connectedLeader(search, this.which), START_MS);
    if (leader === undefined || this.#closed) return;
    const fd = openSync(`/proc/${leader.pid}/ns/net`, "r");
    this.#stops.push(() => closeSync(fd));
    const namespace = `/proc/self/fd/${fd}`;
    const found = isAlive(leader) ? foundInterface(namespace, this.which) : undefined;
    if (found === undefined) return;
    const { leased, ...link } = found;
    if (leased !== undefined) this.#take(leased);
    const stop = holdContainerLease({ ...link, namespace }, leased, {
      remember: (address) => this.#take(address),
      failed: (error) => this.#failed(error),
    });
    // Before the namespace is closed.
    this.#stops.unshift(stop);
  }

  #take(leased: string): void {
    this.#address = addressPart(leased);
    this.#known.resolve();
  }

  #failed(error: unknown): void {
    if (!this.#closed) this.warn(`Cannot request an address for the container: ${errorText(error)}`);
  }
}

/** The container's PID 1 once its interface is there and up. */
function connectedLeader(search: ContainerSearch, which: InterfaceName): ProcessIdentity | undefined {
  const leader = search.leader();
  if (leader === undefined) return undefined;
  const namespace = `/proc/${leader.pid}/ns/net`;
  const connected = () =>
    readlinkSync(namespace) !== readlinkSync("/proc/self/ns/net") && foundInterface(namespace, which) !== undefined;
  return ifThere(connected, false) ? leader : undefined;
}

/** Undefined while the interface does not exist, or is down. */
function foundInterface(namespace: string, which: InterfaceName): FoundInterface | undefined {
  return inNetworkNamespace(namespace, () => {
    using links = new Links(MOST);
    const link = findInterface(links, which);
    if (link?.up !== true) return undefined;
    const own = links.addresses().filter(({ index, address }) => index === link.index && address.family === 4);
    const [first] = own.filter(({ address }) => !isLocal(address));
    return { index: link.index, mac: link.mac, leased: first && formatSubnet(first.address) };
  });
}
