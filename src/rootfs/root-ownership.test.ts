import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../config/task/decode";
import { featuresOf } from "../nspawn/features";
import { pickedUsers, refuseVolatileMapped, rootOwnership } from "./root-ownership";

const decode = (config: object) => decodeTaskConfig(encode({ image: "i", ...config }), () => true);

test.each([
  [{}, "pick", undefined, "off"],
  [{ private_users: "yes" }, "pick", "yes", "off"],
  [{ private_users_ownership: "map" }, "pick", undefined, "off"],
  [{ read_only: true }, "pick", undefined, "off"],
  [{ volatile: "state" }, "pick", undefined, "off"],
  [{ private_users: "700000:1000" }, { first: 700_000, count: 1000 }, "700000:1000", "off"],
  [{ private_users: "0" }, undefined, "0", undefined],
  [{ private_users: "identity" }, undefined, "identity", undefined],
  [{ private_users_ownership: "chown" }, undefined, undefined, "chown"],
  [{ private_users_ownership: "off" }, undefined, undefined, "off"],
  [{ user_namespacing: false }, undefined, undefined, undefined],
] as const)("owners for %j", (config, owners, users, ownership) => {
  const plan = rootOwnership(decode(config));
  expect(plan.owners).toEqual(owners);
  expect([plan.options.private_users, plan.options.private_users_ownership]).toEqual([users, ownership]);
});

test("systemd-nspawn gets the IDs that were picked", () => {
  const options = decode({});
  expect(pickedUsers(options, undefined)).toBe(options);
  expect(pickedUsers(options, { first: 655_360, count: 65_536 })).toEqual({
    ...options,
    private_users: "655360:65536",
  });
});

test("volatile with mapped owners needs systemd-nspawn 257, unless the owners are right", () => {
  const on = (version: number, config: object) => () => refuseVolatileMapped(decode(config), featuresOf(version));
  expect(on(256, { volatile: "state" })).toThrow(/needs systemd-nspawn 257 for this image, and this client has 256/);
  for (const config of [{}, { volatile: "overlay" }, { volatile: "yes", private_users_ownership: "off" }])
    on(256, config)();
  on(256, { volatile: "yes", user_namespacing: false })();
  on(257, { volatile: "yes" })();
});
