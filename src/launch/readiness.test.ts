import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../config/task/decode";
import { notReadyNote, preparationNote, saysReady } from "./readiness";

test.each([
  ["READY=1\n", true],
  ["STATUS=Container running: Ready.\nREADY=1", true],
  ["STATUS=Container running.\nX_NSPAWN_LEADER_PID=7", false],
  ["STATUS=READY=1", false],
  ["READY=10", false],
  ["", false],
] as const)("%j is ready: %p", (message, ready) => expect(saysReady(message)).toBe(ready));

test("why a container is not ready", () => {
  expect(notReadyNote("boot", "web-1", 5000, ["slow.service"])).toBe(
    "The system in container web-1 was not up within 5 s (option ready_timeout): its systemd was still starting slow.service.",
  );
  for (const units of [undefined, []]) {
    expect(notReadyNote("boot", "web-1", 5000, units)).toContain("its init has to send READY=1");
  }
  expect(notReadyNote("pid1", "web-1", 1500, undefined)).toBe(
    "The program of container web-1 did not report within 1.5 s (option ready_timeout) that it is ready: with notify_ready = true it has to send READY=1 to the socket in NOTIFY_SOCKET (sd_notify(3)).",
  );
});

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
