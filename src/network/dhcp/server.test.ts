import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Address, addressBytes, parseAddress, parseSubnet, type Subnet } from "../../values/ip";
import { decodeDhcp } from "./packet";
import { answer, type DhcpRequest, parseRequest } from "./server";

const address = (text: string): Address => {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is not an address`);
  return parsed;
};
const subnet = (text: string): Subnet => {
  const parsed = parseSubnet(text);
  if (parsed === undefined) throw new Error(`${text} is not a subnet`);
  return parsed;
};
const lease = { address: subnet("10.213.0.2/30"), router: address("10.213.0.1"), resolvers: [address("192.0.2.53")] };

/** A message as sent by a client. */
function message(kind: number, ...options: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const fixed = Buffer.alloc(236);
  fixed.set([1, 1, 6, 0]);
  fixed.writeUInt32BE(0xdeadbeef, 4);
  fixed.set([2, 0, 0, 0, 0, 7], 28);
  const encoded = options.flatMap(([code, content]) => [code, content.length, ...content]);
  return Buffer.concat([fixed, Uint8Array.of(99, 130, 83, 99, 53, 1, kind, 0, ...encoded, 255)]);
}
const parsed = (bytes: Uint8Array): DhcpRequest => {
  const request = parseRequest(bytes);
  if (request === undefined) throw new Error("not a request");
  return request;
};
/** Type and address of an answer, and its options by number. */
function read(bytes: Uint8Array | undefined) {
  if (bytes === undefined) return undefined;
  const options = new Map<number, readonly number[]>();
  for (let at = 240; bytes[at] !== 255; at += 2 + (bytes[at + 1] ?? 0)) {
    options.set(bytes[at] ?? 0, [...bytes.subarray(at + 2, at + 2 + (bytes[at + 1] ?? 0))]);
  }
  return { type: options.get(53)?.[0], address: [...bytes.subarray(16, 20)].join("."), options };
}

describe("a client", () => {
  test("that discovers gets an offer of its address", () => {
    const request = parsed(message(1));
    expect(request).toMatchObject({ kind: "discover", mac: "02:00:00:00:00:07" });
    const bytes = answer(request, lease);
    expect(decodeDhcp(bytes ?? new Uint8Array())?.transaction).toBe(0xdeadbeef);
    const offer = read(bytes);
    expect(offer).toMatchObject({ type: 2, address: "10.213.0.2" });
    expect(offer?.options.get(1)).toEqual([255, 255, 255, 252]);
    expect(offer?.options.get(3)).toEqual([10, 213, 0, 1]);
    expect(offer?.options.get(6)).toEqual([192, 0, 2, 53]);
    expect(offer?.options.get(51)).toEqual([255, 255, 255, 255]);
  });

  test("that requests it gets it; a request for another address is refused", () => {
    const server = [54, addressBytes(lease.router)] as const;
    const wanted = (text: string) => [50, addressBytes(address(text))] as const;
    expect(read(answer(parsed(message(3, wanted("10.213.0.2"), server)), lease))).toMatchObject({
      type: 5,
      address: "10.213.0.2",
    });
    expect(read(answer(parsed(message(3, wanted("10.213.0.2"))), lease))).toMatchObject({ type: 5 });
    expect(read(answer(parsed(message(3, wanted("192.168.1.7"))), lease))).toMatchObject({
      type: 6,
      address: "0.0.0.0",
    });
  });

  test("of another server, or that releases its address, is not answered", () => {
    const other = [54, addressBytes(address("10.0.0.1"))] as const;
    expect(answer(parsed(message(3, other)), lease)).toBeUndefined();
    expect(answer(parsed(message(7)), lease)).toBeUndefined();
  });

  test("that sends anything else is ignored", () => {
    expect(parseRequest(message(1).subarray(0, 200))).toBeUndefined();
    expect(parseRequest(answer(parsed(message(1)), lease) ?? new Uint8Array())).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        parseRequest(noise);
      }),
    );
  });
});
