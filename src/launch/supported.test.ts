import { describe, expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { plannedMounts } from "../../test/support/planned-mounts";
import { decodeTaskConfig } from "../config/task/decode";
import { ConfigError } from "../lib/errors";
import { featuresOf } from "../nspawn/features";
import { refuseLabels, refusePersonality, refuseUnsupported, type SupportQuestion } from "./supported";

describe("refused", () => {
  const cases: readonly [string, object, Partial<SupportQuestion>, number, string][] = [
    [
      "an invalid task user",
      {},
      { job: { user: "a:b:c" } },
      257,
      'The task\'s user = "a:b:c" is not valid: it must be a user of the container, USER or USER:GROUP, each a name or a number.',
    ],
    [
      "propagation back to the host",
      {},
      { mounts: [{ source: "/a", target: "/b", readOnly: false, propagation: "bidirectional" }] },
      257,
      'The mount at "/b" cannot have propagation_mode "bidirectional": systemd-nspawn does not propagate mounts to the host; use "private" or "host-to-task".',
    ],
    [
      "a bind option of a later version",
      { bind: { "/a": "/b:owneridmap" } },
      {},
      252,
      'The mount option "owneridmap" needs systemd-nspawn 256, and this client has 252.',
    ],
    [
      "a mount option of a later version",
      {},
      { mounts: [{ source: "/a", target: "/b", readOnly: false, options: ["idmap"] }] },
      249,
      'The mount option "idmap" needs systemd-nspawn 250, and this client has 249.',
    ],
    [
      "suppress_sync before 250",
      { suppress_sync: true },
      {},
      249,
      "Option suppress_sync = true needs systemd-nspawn 250 or later, and this client has 249.",
    ],
    [
      "a system call group of a later version",
      { system_call_filter: ["~@sandbox"] },
      {},
      252,
      'Option system_call_filter = "~@sandbox" is not valid: systemd-nspawn 252 of this client does not know the group.',
    ],
    [
      "an image policy",
      { image_policy: "root=verity" },
      {},
      252,
      "Option image_policy needs systemd-nspawn 254, and this client has 252.",
    ],
    [
      "a root hash that an earlier version may ignore",
      { root_hash: "ab".repeat(32) },
      {},
      252,
      "Option root_hash without verity_data needs systemd-nspawn 254, and this client has 252, which would run an image that has no hashes without verification: set verity_data.",
    ],
    [
      "a path that was not resolved",
      { bind: { "local/x": "/x" } },
      {},
      257,
      'The path "local/x" cannot be mounted: it is not absolute.',
    ],
  ];

  test.each(cases)("%s", (_, config, input, version, sentence) => {
    const options = decodeTaskConfig(encode({ image: "/srv/image", ...config }));
    const plan = { options, job: { user: "" }, mounts: plannedMounts(options), ...input };
    expect(() => refuseUnsupported(plan, featuresOf(version))).toThrow(new ConfigError(sentence));
  });
});

describe("labels", () => {
  const host = { selinux: true, apparmor: true, profiles: ["nomad-web"] };
  const none = { apparmor_profile: undefined, selinux_context: undefined, selinux_apifs_context: undefined };

  test.each([
    [{ apparmor_profile: "nomad-web" }, host],
    [{ apparmor_profile: "unconfined" }, host],
    [{ apparmor_profile: "x" }, { ...host, profiles: undefined }],
    [{ selinux_context: "u:r:t:s0", selinux_apifs_context: "u:r:t:s0" }, host],
    [{}, { ...host, selinux: false, apparmor: false }],
  ])("%j is accepted", (options, modules) =>
    expect(() => refuseLabels({ ...none, ...options }, modules)).not.toThrow(),
  );

  test.each([
    [{ apparmor_profile: "x" }, host, "no profile of this name is loaded"],
    [{ apparmor_profile: "nomad-web" }, { ...host, apparmor: false }, "does not use AppArmor"],
    [{ selinux_apifs_context: "u:r:t:s0" }, { ...host, selinux: false }, "does not use SELinux"],
  ])("%j is refused", (options, modules, sentence) =>
    expect(() => refuseLabels({ ...none, ...options }, modules)).toThrow(sentence),
  );
});

test("a personality of x86 is refused on a client with another processor", () => {
  expect(() => refusePersonality("x86", "amd64")).not.toThrow();
  expect(() => refusePersonality(undefined, "arm64")).not.toThrow();
  expect(() => refusePersonality("x86", "arm64")).toThrow(
    'Option personality = "x86" needs a client with an x86-64 processor, and this one is arm64: leave it out.',
  );
});
