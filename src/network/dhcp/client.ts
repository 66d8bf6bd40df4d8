import { startTimer } from "../../lib/deadline";
import { RateLimit } from "../../lib/rate-limit";
import { readFd } from "../../linux/fd-stream";
import { Links } from "../../linux/netlink/route";
import { inNetworkNamespace } from "../../linux/network-namespace";
import { openPacketSocket, sendPacket } from "../../linux/packet-socket";
import { type Address, formatSubnet, parseSubnet } from "../../values/ip";
import type { ContainerLink } from "../private/link";
import {
  begin,
  type ClientState,
  clientMessage,
  type Granted,
  parseReply,
  received,
  type Step,
  timeout,
} from "./client-state";
import { CLIENT_PORT, datagram, datagramsTo, SERVER_PORT } from "./packet";

const BROADCAST_MAC = "ff:ff:ff:ff:ff:ff";
/** How long to wait before a link that is down is tried again. */
const RETRY_MS = 1_000;

/** The rate at which answers are read: those of a host that sends without end are lost. */
const limits = { burst: 50, perSecond: 10 } as const;

/** The container's end of the link to get an address for. */
interface ClientLink extends Pick<ContainerLink, "index" | "mac"> {
  /** Path of its network namespace, as inNetworkNamespace() takes it. */
  readonly namespace: string;
}

interface LeaseMaintainer {
  /** Records the leased address, "ADDRESS/PREFIX", so that it is kept after a restart of the plugin. */
  remember(leased: string): void;
  failed(error: unknown): void;
}

/**
 * Leases a container's address from the DHCP server of its link, for a container without a DHCP client, and renews it until stopped.
 *
 * @param leased the address it had before this process, "ADDRESS/PREFIX", to be kept if possible
 * @returns stops the renewal; the address stays
 */
export function holdContainerLease(link: ClientLink, leased: string | undefined, keeper: LeaseMaintainer): () => void {
  let held: Address | undefined = parseSubnet(leased ?? "");
  let session: DhcpSession | undefined;
  let stopped = false;
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      keeper.failed(error);
    }
  };
  const user: LeaseHandler = {
    take: (granted) => {
      held = granted.address;
      attempt(() => {
        keeper.remember(formatSubnet(granted.address));
        take(link, granted);
      });
    },
    drop: (address) => {
      held = undefined;
      attempt(() => drop(link, address));
    },
  };
  const hold = async () => {
    while (!stopped) {
      session = startSession(link, held, user);
      await session?.ended;
      // The link is down or gone.
      if (!stopped) await Bun.sleep(RETRY_MS);
    }
  };
  void hold();
  return () => {
    stopped = true;
    session?.end();
  };
}

/** The user of the address. */
interface LeaseHandler {
  /** It has this address from now on, or keeps it. */
  take(granted: Granted): void;
  /** It no longer has this address. */
  drop(address: Address): void;
}

interface DhcpSession {
  /** Resolves when the socket can no longer receive. */
  readonly ended: Promise<void>;
  end(): void;
}

/** Exchanges messages with the servers of a link while it is up; undefined if the link does not exist. */
function startSession(link: ClientLink, known: Address | undefined, user: LeaseHandler): DhcpSession | undefined {
  const fd = openSocket(link);
  if (fd === undefined) return undefined;
  const reader = readFd(fd);
  const [transaction = 0] = crypto.getRandomValues(new Uint32Array(1));
  const client = { mac: link.mac, transaction };
  let state: ClientState;
  let stopTimer = (): void => {};
  const act = ({ state: next, send, take, drop, wait }: Step): void => {
    state = next;
    stopTimer();
    if (wait !== undefined) stopTimer = startTimer(wait, () => act(timeout(state)));
    // In this order, because the new address may be in the network of the old one.
    if (drop !== undefined) user.drop(drop);
    if (take !== undefined) user.take(take);
    if (send === undefined) return;
    const from = send.kind === "renew" ? send.address : undefined;
    sendPacket(fd, link.index, BROADCAST_MAC, datagram(from, SERVER_PORT, clientMessage(client, send)));
  };
  const pace = new RateLimit(limits);
  const handle = (bytes: Uint8Array) => {
    for (const message of datagramsTo(CLIENT_PORT, bytes)) {
      const reply = parseReply(client, message);
      const step = reply === undefined ? undefined : received(state, reply);
      if (step !== undefined) act(step);
    }
  };
  const listen = async () => {
    try {
      for (let bytes = await reader.next(); bytes !== undefined; bytes = await reader.next()) {
        await pace.work(() => handle(bytes));
      }
    } catch {
      // ENETDOWN, of packet(7).
    } finally {
      stopTimer();
      await reader.close();
    }
  };
  act(begin(known));
  return {
    ended: listen(),
    end: () => {
      stopTimer();
      void reader.close();
    },
  };
}

function openSocket({ namespace, index }: ClientLink): number | undefined {
  try {
    return inNetworkNamespace(namespace, () => openPacketSocket(index, CLIENT_PORT));
  } catch {
    // The namespace is gone with its container.
    return undefined;
  }
}

/** The approximate number of a container's addresses searched for the one to remove. */
const MAX_LISTED = 1000;

function take({ namespace, index }: ClientLink, { address, router }: Granted): void {
  inNetworkNamespace(namespace, () => {
    using links = new Links();
    links.addAddress(index, address);
    if (router !== undefined) links.setDefaultRoute(index, router);
  });
}

function drop({ namespace, index }: ClientLink, { family, value }: Address): void {
  inNetworkNamespace(namespace, () => {
    using links = new Links(MAX_LISTED);
    for (const { index: on, address } of links.addresses()) {
      if (on === index && address.family === family && address.value === value) links.removeAddress(index, address);
    }
  });
}
