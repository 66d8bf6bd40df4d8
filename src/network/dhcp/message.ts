import { type Address, addressBytes, addressOfBytes, type Subnet } from "../ip";

/** Messages of DHCP, RFC 2131 and RFC 2132. */

/** What a client asks for. */
export interface DhcpRequest {
  readonly kind: "discover" | "request" | "other";
  /** Tells its answers from others'. */
  readonly transaction: number;
  readonly seconds: number;
  readonly flags: number;
  /** Six bytes as hexadecimal digits with colons. */
  readonly mac: string;
  /** The address that it has, or wants to have. */
  readonly address: Address | undefined;
  /** The server that it has chosen; undefined while it has not. */
  readonly server: Address | undefined;
}

/** What a client gets. */
export interface Lease {
  readonly address: Subnet;
  readonly router: Address;
  readonly resolvers: readonly Address[];
}

const fixedSize = 236;
const magic = [99, 130, 83, 99] as const;
const bootRequest = 1;
const bootReply = 2;
const ethernet = 1;
const macSize = 6;
/** The smallest message that old clients take. */
const smallest = 300;
/** "Infinity": nobody has to be there to renew it. */
const forever = [0xff, 0xff, 0xff, 0xff] as const;
const option = {
  mask: 1,
  router: 3,
  resolvers: 6,
  requested: 50,
  time: 51,
  type: 53,
  server: 54,
  end: 255,
  pad: 0,
} as const;
const type = { discover: 1, offer: 2, request: 3, acknowledge: 5, refuse: 6 } as const;

/** Reads what a client sent; undefined for anything else. */
export function parseRequest(bytes: Uint8Array): DhcpRequest | undefined {
  if (bytes.length < fixedSize + magic.length || bytes[0] !== bootRequest) return undefined;
  if (bytes[1] !== ethernet || bytes[2] !== macSize || magic.some((byte, index) => bytes[fixedSize + index] !== byte)) {
    return undefined;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const options = readOptions(bytes.subarray(fixedSize + magic.length));
  const address = (code: number) => addressOfBytes(options.get(code) ?? new Uint8Array());
  const own = addressOfBytes(bytes.subarray(12, 16));
  const kind = options.get(option.type)?.[0];
  return {
    kind: kind === type.discover ? "discover" : kind === type.request ? "request" : "other",
    transaction: view.getUint32(4),
    seconds: view.getUint16(8),
    flags: view.getUint16(10),
    mac: Array.from(bytes.subarray(28, 28 + macSize), (byte) => byte.toString(16).padStart(2, "0")).join(":"),
    address: own === undefined || own.value === 0n ? address(option.requested) : own,
    server: address(option.server),
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

function reply(request: DhcpRequest, { address, router, resolvers }: Lease, kind: number): Uint8Array {
  const granted = kind !== type.refuse;
  const fixed = Buffer.alloc(fixedSize);
  fixed.set([bootReply, ethernet, macSize, 0]);
  fixed.writeUInt32BE(request.transaction, 4);
  fixed.writeUInt16BE(request.flags, 10);
  if (granted) fixed.set(addressBytes(address), 16);
  fixed.set(
    request.mac.split(":").map((digits) => Number.parseInt(digits, 16)),
    28,
  );
  const options: readonly (readonly [number, readonly number[]])[] = [
    [option.type, [kind]],
    [option.server, [...addressBytes(router)]],
    ...(granted
      ? ([
          [option.time, forever],
          [option.mask, [...addressBytes(maskOf(address))]],
          [option.router, [...addressBytes(router)]],
          ...(resolvers.length === 0
            ? []
            : ([[option.resolvers, resolvers.flatMap((server) => [...addressBytes(server)])]] as const)),
        ] as const)
      : []),
  ];
  const encoded = options.flatMap(([code, content]) => [code, content.length, ...content]);
  const message = Buffer.concat([fixed, Uint8Array.from([...magic, ...encoded, option.end])]);
  return message.length >= smallest ? message : Buffer.concat([message, Buffer.alloc(smallest - message.length)]);
}

function readOptions(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length; ) {
    const code = bytes[at] ?? option.end;
    if (code === option.end) break;
    if (code === option.pad) {
      at += 1;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    options.set(code, bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}

function maskOf({ prefix }: Subnet): Address {
  return { family: 4, value: ((1n << BigInt(prefix)) - 1n) << BigInt(32 - prefix) };
}
