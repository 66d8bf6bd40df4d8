import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { DNSConfigSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { resolvConf } from "./dns-plan";

test("an absent or empty dns block creates no file", () => {
  expect(resolvConf(undefined)).toBeUndefined();
  expect(resolvConf(create(DNSConfigSchema, {}))).toBeUndefined();
});

test("servers, searches and options are written as lines", () => {
  const dns = create(DNSConfigSchema, {
    servers: ["192.0.2.1", "2001:db8::1"],
    searches: ["a", "b"],
    options: ["ndots:2"],
  });
  expect(resolvConf(dns)).toBe("nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a b\noptions ndots:2\n");
});

test("a line break in a value is rejected", () => {
  expect(() => resolvConf(create(DNSConfigSchema, { servers: ["192.0.2.1\noptions x"] }))).toThrow("line break");
});
