import { type Address, addressBytes, addressOfBytes, type Subnet } from "../ip";
import { type DhcpMessage, decodeDhcp, encodeDhcp, maskOf, operation, option, type } from "./format";

/** A client's request. */
export interface DhcpRequest {
  readonly kind: "discover" | "request" | "other";
  /** Six bytes as hexadecimal digits with colons. */
  readonly mac: string;
  /** The address that it has, or requests. */
  readonly address: Address | undefined;
  /** The server that it has selected; undefined before that. */
  readonly server: Address | undefined;
  /** The message type. */
  readonly message: DhcpMessage;
}

/** The lease of a client. */
export interface Lease {
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
