import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Address, addressBytes, formatAddress, formatSubnet, parseAddress, parseSubnet } from "../ip";
import { clientMessage, parseReply } from "./client-message";
import type { Ask } from "./client-state";
import { decodeDhcp, encodeDhcp, option, prefixOf } from "./format";
import { answer, parseRequest } from "./server-message";

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
