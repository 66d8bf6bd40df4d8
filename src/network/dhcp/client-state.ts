import type { Address, Subnet } from "../ip";

/** What a server grants. */
export interface Granted {
  readonly address: Subnet;
  readonly server: Address;
  readonly router?: Address;
  /** How long, from its answer on; 2³² - 1 for ever. */
  readonly seconds: number;
}

/** What a client asks: of all servers, of one that made an offer, or whether an address of earlier is still its own. */
export type Ask =
  | { readonly kind: "discover" }
  | { readonly kind: "select"; readonly address: Address; readonly server: Address }
  | { readonly kind: "confirm"; readonly address: Address }
  | { readonly kind: "renew"; readonly address: Address };

/** What a server answers. */
export type Reply = { readonly kind: "offer" | "acknowledge"; readonly granted: Granted } | { readonly kind: "refuse" };

/** Where a client is (RFC 2131, figure 5); `tries` is how often it has asked in vain. */
export type ClientState =
  | { readonly kind: "selecting"; readonly tries: number }
  | { readonly kind: "requesting"; readonly offer: Granted; readonly tries: number }
  | { readonly kind: "rebooting"; readonly address: Address; readonly tries: number }
  | { readonly kind: "bound"; readonly address: Address; readonly tries: number };

/** What is to be done next. */
export interface Step {
  readonly state: ClientState;
  readonly send?: Ask;
  /** The address that the client has from now on. */
  readonly take?: Granted;
  /** The address that it has no more. */
  readonly drop?: Address;
  /** When it is to be asked again without an answer, in milliseconds; undefined for never. */
  readonly wait?: number;
}

const firstWaitMs = 250;
const longestWaitMs = 60_000;
/** Requests to a server that does not answer any more, before all are asked again. */
const requests = 4;
const forever = 2 ** 32 - 1;

/** @param known an address that the client had before this process */
export function begin(known: Address | undefined): Step {
  return known === undefined ? discover() : ask({ kind: "rebooting", address: known, tries: 0 });
}

/** Nobody answered, or it is time to renew the lease. */
export function timeout(state: ClientState): Step {
  const next = { ...state, tries: state.tries + 1 };
  if (state.kind === "requesting" && next.tries >= requests) return discover();
  // Beyond the lease's end as well: a server that is away has nobody else to give the address to, and one that has done so refuses.
  return ask(next);
}

/** A server answered; what is no answer to what was asked changes nothing. */
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
    ...(seconds === forever ? {} : { wait: Math.max((seconds * 1000) / 2, firstWaitMs) }),
  };
}

function discover(): Step {
  return ask({ kind: "selecting", tries: 0 });
}

function ask(state: ClientState): Step {
  return { state, send: asked(state), wait: Math.min(firstWaitMs * 2 ** state.tries, longestWaitMs) };
}

function asked(state: ClientState): Ask {
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
