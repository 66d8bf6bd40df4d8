import { expect, test } from "bun:test";
import { formatListenAddress, type ListenAddress, parseListenAddress } from "./listen-address";

test.each<[string, ListenAddress]>([
  ["unix:/run/metrics.sock", { kind: "unix", path: "/run/metrics.sock" }],
  ["127.0.0.1:9273", { kind: "tcp", host: "127.0.0.1", port: 9273 }],
  ["127.1.2.3:1", { kind: "tcp", host: "127.1.2.3", port: 1 }],
  ["[::1]:65535", { kind: "tcp", host: "::1", port: 65535 }],
])("%s", (text, address) => {
  expect(parseListenAddress(text)).toEqual(address);
  expect(formatListenAddress(address)).toBe(text);
});

test.each([
  ["", "it must be"],
  ["9273", "it must be"],
  [":9273", "only this machine"],
  ["0.0.0.0:9273", "only this machine"],
  ["192.0.2.1:9273", "only this machine"],
  ["127.0.0.1.example.com:9273", "only this machine"],
  ["127.0.0.300:9273", "only this machine"],
  ["localhost:9273", "only this machine"],
  ["[::]:9273", "only this machine"],
  ["127.0.0.1:0", "it must be"],
  ["127.0.0.1:65536", "it must be"],
  ["unix:metrics.sock", "must be absolute"],
  ["unix:/run/../etc/x", "must be absolute"],
  ["unix:/run/", "must be absolute"],
  ["unix:@abstract", "must be absolute"],
  [`unix:/${"x".repeat(107)}`, "107 bytes"],
])("%s is refused", (text, reason) => {
  expect(parseListenAddress(text)).toContain(reason);
});
