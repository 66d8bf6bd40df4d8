import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../config/task/decode";
import { featuresOf } from "../nspawn/features";
import { refuseMountStack } from "./mount-stack";

const task = (more: object) => decodeTaskConfig(encode({ image: "/srv/a.mstack", ...more }));
const host = { user_namespacing: false };

test.each<[object, number, boolean, string]>([
  [host, 259, false, "it needs systemd-nspawn 260, and this client has 259"],
  [{}, 260, false, "needs user_namespacing = false"],
  [{ ...host, ephemeral: true }, 260, false, "(ephemeral = true)"],
  [host, 260, true, "not allowed, because it can show any file of the client"],
])("%j with systemd-nspawn %d is refused", (more, version, inTask, why) => {
  expect(() => refuseMountStack(task(more), featuresOf(version), inTask)).toThrow(why);
});

test.each([host, { ...host, volatile: "overlay" }, { ...host, read_only: true }, { private_users: "no" }])(
  "%j runs",
  (more) => {
    expect(() => refuseMountStack(task(more), featuresOf(260), false)).not.toThrow();
  },
);
