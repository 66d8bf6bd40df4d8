import { defined } from "../../lib/objects";
import { type Address, addressBytes, addressOfBytes, macBytes, type Subnet } from "../../values/ip";
import { decodeDhcp, encodeDhcp, operation, option, prefixOf, type } from "./packet";

/** A lease granted by a server. */
export interface Granted {
  readonly address: Subnet;
  readonly server: Address;
  readonly router?: Address;
  /** Duration from the answer on; 2³² - 1 for an infinite lease. */
  readonly seconds: number;
}

/** A client's request: to all servers, to the one of an offer, or whether its earlier address is still its own. */
export type Ask =
  | { readonly kind: "discover" }
  | { readonly kind: "select"; readonly address: Address; readonly server: Address }
  | { readonly kind: "confirm"; readonly address: Address }
  | { readonly kind: "renew"; readonly address: Address };

/** A server's answer. */
export type Reply = { readonly kind: "offer" | "acknowledge"; readonly granted: Granted } | { readonly kind: "refuse" };

/** The client's state (RFC 2131, figure 5); `tries` counts unanswered requests. */
export type ClientState =
  | { readonly kind: "selecting"; readonly tries: number }
  | { readonly kind: "requesting"; readonly offer: Granted; readonly tries: number }
  | { readonly kind: "rebooting"; readonly address: Address; readonly tries: number }
  | { readonly kind: "bound"; readonly address: Address; readonly tries: number };

/** What to do next. */
export interface Step {
  readonly state: ClientState;
  readonly send?: Ask;
  /** The client has this address from now on. */
  readonly take?: Granted;
  /** The client no longer has this address. */
  readonly drop?: Address;
  /** Milliseconds until the next request if no answer arrives; undefined for never. */
  readonly wait?: number;
}

const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 60_000;
/** Requests to a server that has stopped answering, before all are asked again. */
const MAX_REQUESTS = 4;
const FOREVER = 2 ** 32 - 1;

/** @param known an address that the client had before this process */
export function begin(known: Address | undefined): Step {
  return known === undefined ? discover() : ask({ kind: "rebooting", address: known, tries: 0 });
}

/** No server answered, or it is time to renew the lease. */
export function timeout(state: ClientState): Step {
  const next = { ...state, tries: state.tries + 1 };
  if (state.kind === "requesting" && next.tries >= MAX_REQUESTS) return discover();
  // Also beyond the lease's end: a server that is down assigns the address to no other client; one that did assign it refuses.
  return ask(next);
}

/** A server answered; answers that do not match the request change nothing. */
export function received(state: ClientState, reply: Reply): Step | undefined {
  switch (reply.kind) {
    case "offer":
      return state.kind === "selecting" ? ask({ kind: "requesting", offer: reply.granted, tries: 0 }) : undefined;
    case "acknowledge":
      return acknowledged(state, reply.granted);
    case "refuse":
      if (state.kind === "requesting") return discover();
      return state.kind === "selecting" ? undefined : { ...discover(), drop: state.address };
  }
}

function acknowledged(state: ClientState, granted: Granted): Step | undefined {
  if (state.kind === "selecting") return undefined;
  const { address, seconds } = granted;
  const before = state.kind === "requesting" ? undefined : state.address;
  return {
    state: { kind: "bound", address, tries: 0 },
    take: granted,
    ...(before === undefined || before.value === address.value ? {} : { drop: before }),
    ...(seconds === FOREVER ? {} : { wait: Math.max((seconds * 1000) / 2, FIRST_WAIT_MS) }),
  };
}

function discover(): Step {
  return ask({ kind: "selecting", tries: 0 });
}

function ask(state: ClientState): Step {
  return { state, send: messageFor(state), wait: Math.min(FIRST_WAIT_MS * 2 ** state.tries, MAX_WAIT_MS) };
}

function messageFor(state: ClientState): Ask {
  switch (state.kind) {
    case "selecting":
      return { kind: "discover" };
    case "requesting":
      return { kind: "select", address: state.offer.address, server: state.offer.server };
    case "rebooting":
      return { kind: "confirm", address: state.address };
    case "bound":
      return { kind: "renew", address: state.address };
  }
}

const ETHERNET = 1;
/** Answers are requested as broadcasts: the client may have no address yet (RFC 2131, 4.1). */
const BROADCAST = 0x8000;

/** A client: its hardware address, and the transaction that identifies answers to it. */
interface DhcpClient {
  readonly mac: string;
  readonly transaction: number;
}

/** The message of a client for a request (RFC 2131, table 5). */
export function clientMessage({ mac, transaction }: DhcpClient, ask: Ask): Uint8Array {
  const requested = ask.kind === "select" || ask.kind === "confirm" ? addressBytes(ask.address) : undefined;
  return encodeDhcp({
    operation: operation.request,
    transaction,
    flags: BROADCAST,
    mac,
    own: ask.kind === "renew" ? ask.address : undefined,
    given: undefined,
    options: new Map([
      [option.type, Uint8Array.of(ask.kind === "discover" ? type.discover : type.request)],
      [option.client, Uint8Array.of(ETHERNET, ...macBytes(mac))],
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
  const [mask, server, router] = [option.mask, option.server, option.router].map(address);
  const time = options.get(option.time);
  const prefix = mask === undefined ? undefined : prefixOf(mask);
  if (given === undefined || server === undefined || prefix === undefined || time?.length !== 4) return undefined;
  return {
    address: { ...given, prefix },
    server,
    ...defined({ router }),
    seconds: Buffer.from(time).readUInt32BE(),
  };
}
