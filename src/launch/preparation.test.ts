import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../config/task/decode";
import { preparationNote } from "./preparation";

test.each([
  [{}, "directory", "changing the owners of the image's files (user_namespacing, private_users_ownership)"],
  [{ private_users_ownership: "map" }, "directory", "making its mounts"],
  [{ user_namespacing: false }, "directory", "making its mounts"],
  [{ user_namespacing: false }, "image", "checking and mounting the disk image"],
  [
    { ephemeral: true, private_users_ownership: "off" },
    "image",
    "copying the image (ephemeral = true), or checking and mounting the disk image",
  ],
] as const)("with %j a %s may wait for: %s", (config, kind, note) => {
  const options = decodeTaskConfig(encode({ image: "i", ...config }), () => false);
  expect(preparationNote({ image: { kind, path: "/i" }, options })).toBe(note);
});
