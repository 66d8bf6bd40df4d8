import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseAddress } from "../../values/ip";
import { CLIENT_PORT, checksum, datagram, datagramsTo, SERVER_PORT } from "./packet";

const router = parseAddress("10.213.0.1");

describe("packets", () => {
  test("have correct checksums", () => {
    const packet = datagram(router, CLIENT_PORT, Uint8Array.of(1, 2, 3));
    expect(checksum(packet.subarray(0, 20))).toBe(0);
    const pseudo = Uint8Array.of(...packet.subarray(12, 20), 0, 17, 0, packet.length - 20);
    expect(checksum(Buffer.concat([pseudo, packet.subarray(20)]))).toBe(0);
  });

  test("to a port are found, one after the other", () => {
    const bytes = Buffer.concat([
      datagram(undefined, SERVER_PORT, Uint8Array.of(1)),
      datagram(router, CLIENT_PORT, Uint8Array.of(2)),
      datagram(undefined, SERVER_PORT, Uint8Array.of(3, 4)),
    ]);
    expect(datagramsTo(SERVER_PORT, bytes).map((found) => [...found])).toEqual([[1], [3, 4]]);
    expect(datagramsTo(CLIENT_PORT, bytes).map((found) => [...found])).toEqual([[2]]);
    expect(datagramsTo(SERVER_PORT, bytes.subarray(0, bytes.length - 1)).map((found) => [...found])).toEqual([[1]]);
  });

  test("that are invalid are ignored", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        datagramsTo(SERVER_PORT, noise);
      }),
    );
  });
});
