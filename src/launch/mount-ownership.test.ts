import { describe, expect, test } from "bun:test";
import { featuresOf } from "../nspawn/features";
import { containerIds } from "../values/private-users";
import { type MountOwnership, mountOwnership, type SourceFacts } from "./mount-ownership";

describe("containerIds", () => {
  test.each([
    ["by default", undefined, { count: 65_536, first: undefined }],
    ["picked", "pick", { count: 65_536, first: undefined }],
    ["a fixed range", "1310720:1000", { count: 1000, first: 1_310_720 }],
    ["a fixed first ID", "1310720", { count: 65_536, first: 1_310_720 }],
    ["none", "no", undefined],
    ["the host's", "identity", undefined],
    ["the host's by number", "0:65536", undefined],
  ] as const)("%s", (_name, private_users, expected) => {
    expect(containerIds({ user_namespacing: true, private_users })).toEqual(expected);
    expect(containerIds({ user_namespacing: false, private_users })).toBeUndefined();
  });
});

describe("ownerPlan", () => {
  const facts: SourceFacts = { uid: 0, gid: 0, mode: 0o755, device: false, mountsBelow: false, mappable: true };
  const picked = { count: 65_536, first: undefined };
  const because = (text: string): MountOwnership => ({ because: expect.stringContaining(text) });

  test.each([
    ["root's", {}, picked, "map"],
    ["a user's", { uid: 999, gid: 999 }, picked, "map"],
    ["a file system without support", { mappable: false }, picked, because("kernel or the file system")],
    ["mounts below", { mountsBelow: true }, picked, because("mounted below")],
    ["the container's IDs, as they are outside", { uid: 1_310_720 }, { count: 65_536, first: 1_310_720 }, "leave"],
    ["another container's IDs", { uid: 2_000_000 }, picked, because("2000000:0 is outside")],
    ["a group beyond", { gid: 70_000 }, picked, because("0:70000")],
    ["more IDs than the container has", { uid: 1000 }, { count: 1000, first: 1_310_720 }, because("1000 IDs")],
  ] as const)("%s", (_name, change, ids, expected) => {
    expect(mountOwnership({ ...facts, ...change }, ids, featuresOf(252))).toEqual(expected);
  });

  test("an old systemd-nspawn does not support it", () => {
    expect(mountOwnership(facts, picked, featuresOf(249))).toEqual(because("older than 250"));
  });
});
