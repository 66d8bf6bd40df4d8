import { RateLimit } from "../../lib/rate-limit";
import { readFd } from "../../linux/fd-stream";
import { openPacketSocket, sendPacket } from "../../linux/packet-socket";
import {
  type Address,
  addressBytes,
  addressOfBytes,
  addressPart,
  parseAddress,
  parseSubnet,
  type Subnet,
} from "../../values/ip";
import { serversOf } from "../dns";
import type { NetworkRecord } from "../private/records";
import {
  CLIENT_PORT,
  type DhcpMessage,
  datagram,
  datagramsTo,
  decodeDhcp,
  encodeDhcp,
  maskOf,
  operation,
  option,
  SERVER_PORT,
  type,
} from "./packet";

export interface DhcpRequest {
  readonly kind: "discover" | "request" | "other";
  /** Six bytes as hexadecimal digits with colons. */
  readonly mac: string;
  /** The address that it has, or requests. */
  readonly address: Address | undefined;
  /** The server that it has selected; undefined before that. */
  readonly server: Address | undefined;
  readonly message: DhcpMessage;
}

interface Lease {
  readonly address: Subnet;
  readonly router: Address;
  readonly resolvers: readonly Address[];
}

/** "Infinity": the plugin may not be running to renew it. */
const forever = Uint8Array.of(0xff, 0xff, 0xff, 0xff);

/** Parses a client's message; undefined for anything else. */
export function parseRequest(bytes: Uint8Array): DhcpRequest | undefined {
  const message = decodeDhcp(bytes);
  if (message?.operation !== operation.request) return undefined;
  const { mac, own, options } = message;
  const address = (code: number) => addressOfBytes(options.get(code) ?? new Uint8Array());
  const kind = options.get(option.type)?.[0];
  return {
    kind: kind === type.discover ? "discover" : kind === type.request ? "request" : "other",
    mac,
    address: own ?? address(option.requested),
    server: address(option.server),
    message,
  };
}

/**
 * The answer to the client of a lease: an offer, an acknowledgement, or a refusal if it requests another address. Undefined if
 * none is needed: the client has selected another server, or releases its address.
 */
export function answer(request: DhcpRequest, lease: Lease): Uint8Array | undefined {
  const { kind, server, address } = request;
  if (kind === "discover") return reply(request, lease, type.offer);
  if (kind !== "request" || (server !== undefined && server.value !== lease.router.value)) return undefined;
  const right = address?.value === lease.address.value;
  return reply(request, lease, right ? type.acknowledge : type.refuse);
}

function reply({ message }: DhcpRequest, { address, router, resolvers }: Lease, kind: number): Uint8Array {
  const granted = kind !== type.refuse;
  const leaseOptions: readonly (readonly [number, Uint8Array])[] = [
    [option.time, forever],
    [option.mask, addressBytes(maskOf(address))],
    [option.router, addressBytes(router)],
    ...(resolvers.length === 0 ? [] : ([[option.resolvers, Buffer.concat(resolvers.map(addressBytes))]] as const)),
  ];
  return encodeDhcp({
    ...message,
    operation: operation.reply,
    own: undefined,
    given: granted ? address : undefined,
    options: new Map([
      [option.type, Uint8Array.of(kind)],
      [option.server, addressBytes(router)],
      ...(granted ? leaseOptions : []),
    ]),
  });
}

/** The rate at which requests are read: those of a container that sends without end are lost. */
const limits = { burst: 50, perSecond: 10 } as const;

/**
 * Answers a container's DHCP requests with the address that the driver has assigned: images configure their network in different
 * ways, and all of them support DHCP. The lease is infinite, because the plugin may not be running when it expires. No other host
 * on the link gets an answer.
 *
 * @param index of the host's end of the link, or of the bridge
 * @param mac of the container's end
 * @returns stops answering
 */
export function serveLease(index: number, mac: string, lease: Lease): () => void {
  const fd = openPacketSocket(index, SERVER_PORT);
  if (fd === undefined) return () => {};
  const reader = readFd(fd);
  let stopped = false;
  const pace = new RateLimit(limits);
  const answerAll = (bytes: Uint8Array) => {
    for (const received of datagramsTo(SERVER_PORT, bytes)) {
      const request = parseRequest(received);
      const reply = request?.mac === mac ? answer(request, lease) : undefined;
      if (reply !== undefined) sendPacket(fd, index, mac, datagram(lease.router, CLIENT_PORT, reply));
    }
  };
  const serve = async () => {
    for (;;) {
      const bytes = await reader.next();
      if (bytes === undefined || stopped) return;
      await pace.work(() => answerAll(bytes));
    }
  };
  void serve().catch(() => {
    // The link is gone (ENETDOWN).
  });
  return () => {
    stopped = true;
    void reader.close();
  };
}

/** The DHCP lease of a container; undefined if the driver has assigned it no IPv4 address. @param resolvers text of a resolv.conf(5) */
export function leaseOf(given: NetworkRecord["given"], resolvers: string | undefined): Lease | undefined {
  const { host = "", container = "" } = given?.ipv4 ?? {};
  const [address, router] = [parseSubnet(container), parseAddress(addressPart(host))];
  if (address === undefined || router === undefined) return undefined;
  const servers = serversOf(resolvers).flatMap((server) => parseAddress(server) ?? []);
  return { address, router, resolvers: servers.filter(({ family }) => family === 4) };
}
