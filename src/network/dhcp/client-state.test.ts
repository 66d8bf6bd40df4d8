import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Address, addressBytes, formatAddress, formatSubnet, parseAddress, parseSubnet } from "../../values/ip";
import {
  type Ask,
  begin,
  type ClientState,
  clientMessage,
  type Granted,
  parseReply,
  type Reply,
  received,
  timeout,
} from "./client-state";
import { decodeDhcp, encodeDhcp, option, prefixOf } from "./packet";
import { answer, parseRequest } from "./server";

describe("client-message", () => {
  const client = { mac: "02:00:00:00:00:07", transaction: 0xdeadbeef };
  const address = (text: string): Address => {
    const parsed = parseAddress(text);
    if (parsed === undefined) throw new Error(`${text} is not an address`);
    return parsed;
  };
  const mine = address("10.213.0.9");
  const router = address("10.213.0.1");
  const lease = { address: { ...mine, prefix: 24 }, router, resolvers: [] };

  /** The answer of the driver's own server. */
  function answered(ask: Ask): Uint8Array {
    const request = parseRequest(clientMessage(client, ask));
    const bytes = request === undefined ? undefined : answer(request, lease);
    if (bytes === undefined) throw new Error(`${ask.kind} is not answered`);
    return bytes;
  }

  describe("a client", () => {
    const asks: readonly (readonly [ask: Ask, kind: number, own: string, requested: string, server: string])[] = [
      [{ kind: "discover" }, 1, "", "", ""],
      [{ kind: "select", address: mine, server: router }, 3, "", "10.213.0.9", "10.213.0.1"],
      [{ kind: "confirm", address: mine }, 3, "", "10.213.0.9", ""],
      [{ kind: "renew", address: mine }, 3, "10.213.0.9", "", ""],
    ];

    test.each(asks.map((each) => [each[0].kind, ...each] as const))(
      "sends the fields of %s, and no others",
      (_, ask, kind, own, requested, server) => {
        const message = decodeDhcp(clientMessage(client, ask));
        const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? "" : [...bytes].join("."));
        expect(message).toMatchObject({ operation: 1, transaction: 0xdeadbeef, flags: 0x8000, mac: client.mac });
        expect(message?.options.get(option.type)).toEqual(Buffer.from([kind]));
        expect(message?.options.get(option.client)).toEqual(Buffer.from([1, 2, 0, 0, 0, 0, 7]));
        expect(message?.own === undefined ? "" : formatAddress(message.own)).toBe(own);
        expect(text(message?.options.get(option.requested))).toBe(requested);
        expect(text(message?.options.get(option.server))).toBe(server);
      },
    );

    test("parses offers and acknowledgements", () => {
      for (const [ask, kind] of [
        [{ kind: "discover" }, "offer"],
        [{ kind: "select", address: mine, server: router }, "acknowledge"],
        [{ kind: "renew", address: mine }, "acknowledge"],
      ] as const) {
        const reply = parseReply(client, answered(ask));
        if (reply?.kind !== kind) throw new Error(`${reply?.kind} instead of ${kind}`);
        expect(formatSubnet(reply.granted.address)).toBe("10.213.0.9/24");
        expect(reply.granted).toMatchObject({ server: router, router, seconds: 0xffffffff });
      }
    });

    test("parses a refusal", () => {
      const reply = parseReply(client, answered({ kind: "confirm", address: address("10.213.0.77") }));
      expect(reply).toEqual({ kind: "refuse" });
    });

    test("ignores answers for other clients, and incomplete ones", () => {
      const offer = answered({ kind: "discover" });
      const decoded = decodeDhcp(offer);
      if (decoded === undefined) throw new Error("no offer");
      expect(parseReply({ ...client, mac: "02:00:00:00:00:08" }, offer)).toBeUndefined();
      expect(parseReply({ ...client, transaction: 1 }, offer)).toBeUndefined();
      expect(parseReply(client, clientMessage(client, { kind: "discover" }))).toBeUndefined();
      expect(parseReply(client, encodeDhcp({ ...decoded, given: undefined }))).toBeUndefined();
      for (const missing of [option.mask, option.server, option.time, option.type]) {
        const options = new Map([...decoded.options].filter(([code]) => code !== missing));
        expect(parseReply(client, encodeDhcp({ ...decoded, options }))).toBeUndefined();
      }
      const gaps = new Map([...decoded.options, [option.mask, Uint8Array.of(255, 0, 255, 0)]]);
      expect(parseReply(client, encodeDhcp({ ...decoded, options: gaps }))).toBeUndefined();
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
          parseReply(client, noise);
        }),
      );
    });

    test("works without a router", () => {
      const decoded = decodeDhcp(answered({ kind: "discover" }));
      if (decoded === undefined) throw new Error("no offer");
      const options = new Map([...decoded.options].filter(([code]) => code !== option.router));
      const reply = parseReply(client, encodeDhcp({ ...decoded, options }));
      expect(reply?.kind === "offer" ? Object.keys(reply.granted) : []).toEqual(["address", "server", "seconds"]);
    });
  });

  test.each([
    ["255.255.255.255", 32],
    ["255.255.255.252", 30],
    ["255.255.0.0", 16],
    ["0.0.0.0", 0],
    ["255.0.255.0", undefined],
    ["0.0.0.255", undefined],
  ])("the mask %s has a prefix of %p bits", (mask, bits) => {
    expect(prefixOf(address(mask))).toBe(bits);
    const network = parseSubnet(`10.0.0.0/${bits ?? "none"}`);
    expect(network === undefined ? undefined : addressBytes(network).length).toBe(bits === undefined ? undefined : 4);
  });
});

describe("client-state", () => {
  const at = (value: number): Address => ({ family: 4, value: BigInt(value) });
  const granted = (value: number, seconds = 3600): Granted => ({
    address: { ...at(value), prefix: 24 },
    server: at(1),
    seconds,
  });
  const offer: Reply = { kind: "offer", granted: granted(9) };
  const acknowledge = (value = 9, seconds = 3600): Reply => ({ kind: "acknowledge", granted: granted(value, seconds) });
  const refuse: Reply = { kind: "refuse" };

  const selecting: ClientState = { kind: "selecting", tries: 0 };
  const requesting: ClientState = { kind: "requesting", offer: granted(9), tries: 0 };
  const rebooting: ClientState = { kind: "rebooting", address: at(9), tries: 0 };
  const bound: ClientState = { kind: "bound", address: at(9), tries: 0 };

  /** For tables: names and what they refer to. */
  const named = (...states: readonly ClientState[]) => states.map((state) => [state.kind, state] as const);

  describe("a client", () => {
    test("discovers servers, or confirms its earlier address", () => {
      expect(begin(undefined)).toEqual({ state: selecting, send: { kind: "discover" }, wait: 250 });
      expect(begin(at(9))).toEqual({ state: rebooting, send: { kind: "confirm", address: at(9) }, wait: 250 });
    });

    test("selects the first offer", () => {
      expect(received(selecting, offer)).toEqual({
        state: requesting,
        send: { kind: "select", address: granted(9).address, server: at(1) },
        wait: 250,
      });
    });

    test.each(named(requesting, rebooting, bound))("has an address once it is acknowledged: %s", (_, state) => {
      const step = received(state, acknowledge());
      expect(step).toEqual({
        state: { kind: "bound", address: granted(9).address, tries: 0 },
        take: granted(9),
        wait: 1_800_000,
      });
    });

    test.each(named(rebooting, bound))("replaces its address by another one: %s", (_, state) => {
      expect(received(state, acknowledge(8))).toMatchObject({ drop: at(9), take: granted(8) });
    });

    test("does not renew an infinite lease", () => {
      expect(received(requesting, acknowledge(9, 2 ** 32 - 1))?.wait).toBeUndefined();
      // A lease of no time must not make it send requests without a pause, either.
      expect(received(requesting, acknowledge(9, 0))?.wait).toBe(250);
    });

    test.each(named(rebooting, bound))("starts over, without its address, after a refusal: %s", (_, state) => {
      expect(received(state, refuse)).toEqual({
        state: selecting,
        send: { kind: "discover" },
        wait: 250,
        drop: at(9),
      });
    });

    test("starts over if the selected offer is refused", () => {
      expect(received(requesting, refuse)).toEqual({ state: selecting, send: { kind: "discover" }, wait: 250 });
    });

    test.each([
      ["selecting", "a lease", selecting, acknowledge()],
      ["selecting", "a refusal", selecting, refuse],
      ["requesting", "an offer", requesting, offer],
      ["rebooting", "an offer", rebooting, offer],
      ["bound", "an offer", bound, offer],
    ] as const)("in state %s it ignores %s", (_, __, state, reply) => {
      expect(received(state, reply)).toBeUndefined();
    });

    test("backs off", () => {
      let state: ClientState = selecting;
      const waits: (number | undefined)[] = [];
      for (let round = 0; round < 10; round += 1) {
        const step = timeout(state);
        waits.push(step.wait);
        state = step.state;
      }
      expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    });

    test("gives up a server that does not answer after its offer, but not its own address", () => {
      expect(timeout({ ...requesting, tries: 3 })).toMatchObject({ state: selecting, send: { kind: "discover" } });
      for (const [state, kind] of [
        [rebooting, "confirm"],
        [bound, "renew"],
      ] as const) {
        const step = timeout({ ...state, tries: 30 });
        expect(step).toMatchObject({ state: { kind: state.kind }, send: { kind, address: at(9) }, wait: 60_000 });
        expect(step.drop).toBeUndefined();
      }
    });
  });
});
