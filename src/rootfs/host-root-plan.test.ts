import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../config/task/decode";
import { type DirectoryFacts, hostRootPlan } from "./host-root-plan";

const decode = (config: object) => decodeTaskConfig(encode({ image: "/i", ...config }));
const plain: DirectoryFacts = { uid: 0, gid: 0, mountsBelow: false };
const shifted = { uid: 655_360, gid: 655_360 };
const download = { url: "http://x/y.tar", type: "tar", force: true };

test.each<[object, Partial<DirectoryFacts>]>([
  [{}, {}],
  [{ volatile: "no" }, {}],
  [{ ephemeral: true, private_users_ownership: "chown" }, {}],
  [{ ephemeral: true, image_download: [download] }, {}],
  [{ read_only: true }, { mountsBelow: true }],
  [{ volatile: "state" }, { mountsBelow: true }],
  [{ read_only: true, pivot_root: "/a" }, {}],
  [{ ephemeral: true }, { uid: 655_360 }],
])("systemd-nspawn makes the root of %j on %j", (config, facts) => {
  expect(hostRootPlan(decode(config), { ...plain, ...facts })).toBeUndefined();
});

test.each([
  [{ ephemeral: true }, {}, "disk", "pick", 0, "off"],
  [{ ephemeral: true }, { mountsBelow: true }, "disk", "pick", 0, "off"],
  [{ ephemeral: true, read_only: true }, {}, "disk", "pick", 0, "off"],
  [{ volatile: "overlay" }, {}, "memory", "pick", 0, "off"],
  [{ volatile: "overlay", pivot_root: "/a" }, {}, "memory", "pick", 0, "off"],
  [{ ephemeral: true, volatile: "overlay" }, {}, "memory", "pick", 0, "off"],
  [{ read_only: true }, {}, "memory", "pick", 0, "off"],
  [{ volatile: "yes" }, {}, "memory", "pick", 0, "off"],
  [{ volatile: "state" }, {}, "memory", "pick", 0, "off"],
  [{ ephemeral: true }, { uid: 655_361, gid: 655_370 }, "disk", "pick", 655_360, "off"],
  [{ ephemeral: true, private_users: "yes" }, shifted, "disk", undefined, undefined, "off"],
  [{ ephemeral: true, private_users: "700000:9" }, {}, "disk", { first: 700_000, count: 9 }, 0, "off"],
  [{ ephemeral: true, private_users: "identity" }, {}, "disk", undefined, 0, undefined],
  [{ ephemeral: true, user_namespacing: false }, {}, "disk", undefined, 0, undefined],
  [{ ephemeral: true, private_users_ownership: "off" }, {}, "disk", undefined, 0, "off"],
] as const)("the driver makes the root of %j on %j", (config, facts, writes, owners, source, ownership) => {
  const plan = hostRootPlan(decode(config), { ...plain, ...facts });
  expect(plan).toMatchObject({ writes, options: { ephemeral: false } });
  expect([plan?.owners, plan?.source, plan?.options.private_users_ownership]).toEqual([owners, source, ownership]);
  expect(plan?.options.volatile).not.toBe("overlay");
});
