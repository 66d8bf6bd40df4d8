import { type Address, addressBytes, addressOfBytes, type Subnet } from "../ip";
import { type DhcpMessage, decodeDhcp, encodeDhcp, maskOf, operation, option, type } from "./format";

/** What a client asks for. */
export interface DhcpRequest {
  readonly kind: "discover" | "request" | "other";
  /** Six bytes as hexadecimal digits with colons. */
  readonly mac: string;
  /** The address that it has, or wants to have. */
  readonly address: Address | undefined;
  /** The server that it has chosen; undefined while it has not. */
  readonly server: Address | undefined;
  /** What it sent. */
  readonly message: DhcpMessage;
}

/** What a client gets. */
export interface Lease {
  readonly address: Subnet;
  readonly router: Address;
  readonly resolvers: readonly Address[];
}

/** "Infinity": nobody has to be there to renew it. */
const forever = Uint8Array.of(0xff, 0xff, 0xff, 0xff);

/** Reads what a client sent; undefined for anything else. */
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
 * The answer to a client that the lease is for: an offer, the lease, or a refusal where it wants another address. Undefined where
 * there is nothing to say: it has chosen another server, or tells that it is leaving.
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
  const told: readonly (readonly [number, Uint8Array])[] = [
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
      ...(granted ? told : []),
    ]),
  });
}
