import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../../values/ip";
import { type Listener, parseListeners, shadowed } from "./listeners";

const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1226 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1226 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0000000000000000 20 4 30 10 -1
`;
const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21 1 0000000000000000 100 0 0 10 0
   1: 0000000000000000FFFF0000010200C0:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1 0000000000000000 100 0 0 10 0
   2: B80D0120000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23 1 0000000000000000 100 0 0 10 0
`;
const udp = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1234: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 31 2 0000000000000000 0
 1235: 010200C0:8000 050200C0:0035 01 00000000:00000000 00:00000000 00000000   101        0 32 2 0000000000000000 0
`;
const shown = (all: readonly Listener[]) =>
  all.map(({ protocol, address, port, inode }) => [protocol, formatAddress(address), port, inode]);

describe("parseListeners", () => {
  test("finds listening sockets, not connected ones", () => {
    expect(shown(parseListeners(tcp, "tcp"))).toEqual([
      ["tcp", "127.0.0.1", 4646, "4711"],
      ["tcp", "0.0.0.0", 22, "12"],
    ]);
    expect(shown(parseListeners(tcp6, "tcp"))).toEqual([
      ["tcp", "::1", 631, "21"],
      ["tcp", "192.0.2.1", 8080, "22"],
      ["tcp", "2001:db8::1", 8081, "23"],
    ]);
    expect(shown(parseListeners(udp, "udp"))).toEqual([["udp", "127.0.0.53", 53, "31"]]);
  });

  test("skips anything else", () => {
    fc.assert(
      fc.property(fc.string(), (text) => parseListeners(text, "tcp").length === 0),
      { numRuns: 2000 },
    );
  });
});

describe("shadowed", () => {
  const listens = (text: string, port = 8080): Listener => {
    const address = parseAddress(text);
    if (address === undefined) throw new Error(`${text} is not an address.`);
    return { protocol: "tcp", address, port, inode: "1" };
  };
  const any = { label: "a", hostPort: 8080, containerPort: 80 };
  const bound = { ...any, hostAddress: "192.0.2.1" };

  test.each([
    [any, "0.0.0.0", true],
    [any, "::", true],
    [any, "127.0.0.1", true],
    [any, "::1", true],
    [any, "192.0.2.1", true],
    [any, "2001:db8::1", true],
    // The driver's rules do not affect the others of 127.0.0.0/8.
    [any, "127.0.0.53", false],
    [bound, "0.0.0.0", true],
    [bound, "::", true],
    [bound, "127.0.0.1", true],
    [bound, "::1", true],
    [bound, "192.0.2.1", true],
    [bound, "192.0.2.2", false],
    [bound, "2001:db8::1", false],
    [{ ...any, hostAddress: "2001:db8:0::1" }, "2001:db8::1", true],
    [{ ...any, hostAddress: "127.0.0.1" }, "192.0.2.1", false],
  ] as const)("%j where %s listens: %s", (forward, address, expected) => {
    expect(shadowed([forward], [listens(address)]) !== undefined).toBe(expected);
  });

  test("only the same port conflicts", () => {
    expect(shadowed([{ ...any, containerPort: 8081 }], [listens("0.0.0.0", 8081), listens("::", 80)])).toBeUndefined();
    expect(shadowed([], [listens("0.0.0.0")])).toBeUndefined();
    expect(shadowed([{ ...any, hostPort: 1 }, any], [listens("0.0.0.0", 2), listens("::")])?.port).toBe(8080);
  });
});
