import { type Address, addressBytes, addressOfBytes } from "../ip";
import type { Ask, Granted, Reply } from "./client-state";
import { decodeDhcp, encodeDhcp, macBytes, operation, option, prefixOf, type } from "./format";

const ethernet = 1;
/** Answers are requested as broadcasts: the client may have no address yet (RFC 2131, 4.1). */
const broadcast = 0x8000;

/** A client: its hardware address, and the transaction that identifies answers to it. */
export interface DhcpClient {
  readonly mac: string;
  readonly transaction: number;
}

/** The message of a client for a request (RFC 2131, table 5). */
export function clientMessage({ mac, transaction }: DhcpClient, ask: Ask): Uint8Array {
  const requested = ask.kind === "select" || ask.kind === "confirm" ? addressBytes(ask.address) : undefined;
  return encodeDhcp({
    operation: operation.request,
    transaction,
    flags: broadcast,
    mac,
    own: ask.kind === "renew" ? ask.address : undefined,
    given: undefined,
    options: new Map([
      [option.type, Uint8Array.of(ask.kind === "discover" ? type.discover : type.request)],
      [option.client, Uint8Array.of(ethernet, ...macBytes(mac))],
      ...(requested === undefined ? [] : ([[option.requested, requested]] as const)),
      ...(ask.kind === "select" ? ([[option.server, addressBytes(ask.server)]] as const) : []),
      [option.wanted, Uint8Array.of(option.mask, option.router)],
    ]),
  });
}

/** Parses an answer to a client; undefined for other or incomplete messages. */
export function parseReply({ mac, transaction }: DhcpClient, bytes: Uint8Array): Reply | undefined {
  const message = decodeDhcp(bytes);
  if (message?.operation !== operation.reply || message.mac !== mac || message.transaction !== transaction) {
    return undefined;
  }
  const kind = message.options.get(option.type)?.[0];
  if (kind === type.refuse) return { kind: "refuse" };
  const granted = kind === type.offer || kind === type.acknowledge ? grantedBy(message) : undefined;
  return granted === undefined ? undefined : { kind: kind === type.offer ? "offer" : "acknowledge", granted };
}

function grantedBy({ given, options }: NonNullable<ReturnType<typeof decodeDhcp>>): Granted | undefined {
  const address = (code: number): Address | undefined =>
    addressOfBytes(options.get(code)?.subarray(0, 4) ?? new Uint8Array());
  const [mask, server, router, time] = [
    address(option.mask),
    address(option.server),
    address(option.router),
    options.get(option.time),
  ];
  const prefix = mask === undefined ? undefined : prefixOf(mask);
  if (given === undefined || server === undefined || prefix === undefined || time?.length !== 4) return undefined;
  return {
    address: { ...given, prefix },
    server,
    ...(router === undefined ? {} : { router }),
    seconds: Buffer.from(time).readUInt32BE(),
  };
}
