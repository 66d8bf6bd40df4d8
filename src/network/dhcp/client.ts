import { readFd } from "../../exec/fd-streams";
import { startTimer } from "../../host/long-timer";
import { inNetworkNamespace } from "../../host/network-namespace";
import { Pace } from "../../host/pace";
import type { Address } from "../ip";
import { clientMessage, parseReply } from "./client-message";
import { begin, type ClientState, type Granted, received, type Step, timeout } from "./client-state";
import { clientPort, datagram, datagramsTo, serverPort } from "./frame";
import { openPacketSocket, sendPacket } from "./packet-socket";

const everybody = "ff:ff:ff:ff:ff:ff";
/** How long a link may be down before it is looked at again. */
const againMs = 1_000;

/** How many answers are read: those of a host that sends without end are lost. */
const limits = { burst: 50, perSecond: 10 } as const;

/** The link that an address is asked for. */
export interface ClientLink {
  /** Path of its network namespace, as inNetworkNamespace() takes it. */
  readonly namespace: string;
  readonly index: number;
  readonly mac: string;
}

/** Who uses the address. */
export interface LeaseUser {
  /** It has this address from now on, or still. */
  take(granted: Granted): void;
  /** It has this address no more. */
  drop(address: Address): void;
}

/**
 * Asks for a link's address by DHCP in place of a program that does not, and keeps it for as long as it is wanted.
 *
 * @param known an address that the link had before this process, to be kept if it may be
 * @returns stops asking; the address stays
 */
export function holdLease(link: ClientLink, known: Address | undefined, user: LeaseUser): () => void {
  let held = known;
  let conversation: Conversation | undefined;
  let stopped = false;
  const noting: LeaseUser = {
    take: (granted) => {
      held = granted.address;
      user.take(granted);
    },
    drop: (address) => {
      held = undefined;
      user.drop(address);
    },
  };
  const hold = async () => {
    while (!stopped) {
      conversation = converse(link, held, noting);
      await conversation?.ended;
      // The link was set down, or is gone.
      if (!stopped) await Bun.sleep(againMs);
    }
  };
  void hold();
  return () => {
    stopped = true;
    conversation?.end();
  };
}

interface Conversation {
  /** Resolves when nothing can be heard any more. */
  readonly ended: Promise<void>;
  end(): void;
}

/** Talks to the servers of a link while it is up; undefined where it is not there. */
function converse(link: ClientLink, known: Address | undefined, user: LeaseUser): Conversation | undefined {
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
    // In this order: what it takes may be on the network of what it drops.
    if (drop !== undefined) user.drop(drop);
    if (take !== undefined) user.take(take);
    if (send === undefined) return;
    const from = send.kind === "renew" ? send.address : undefined;
    sendPacket(fd, link.index, everybody, datagram(from, serverPort, clientMessage(client, send)));
  };
  const pace = new Pace(limits);
  const hear = (bytes: Uint8Array) => {
    for (const message of datagramsTo(clientPort, bytes)) {
      const reply = parseReply(client, message);
      const step = reply === undefined ? undefined : received(state, reply);
      if (step !== undefined) act(step);
    }
  };
  const listen = async () => {
    try {
      for (let bytes = await reader.next(); bytes !== undefined; bytes = await reader.next()) {
        await pace.work(() => hear(bytes));
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
    return inNetworkNamespace(namespace, () => openPacketSocket(index, clientPort));
  } catch {
    // The namespace is gone, and its container with it.
    return undefined;
  }
}
