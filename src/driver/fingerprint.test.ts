import { describe, expect, test } from "bun:test";
import { FingerprintResponse_HealthState } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { decodePluginConfig } from "../config/plugin/decode";
import { version } from "../lib/executable";
import { hasApparmor, hasSelinux } from "../linux/security-modules";
import { fingerprint } from "./fingerprint";
import { type FingerprintFacts, healthProblem } from "./host-probe";
import { policyAttributes } from "./policy-attributes";

const good: FingerprintFacts = {
  enabled: true,
  root: true,
  nspawnVersion: 257,
  volumes: true,
  cgroup: "v2",
  supervisor: "systemd",
  allowed: policyAttributes(decodePluginConfig(new Uint8Array())),
};

describe("healthProblem", () => {
  test.each([
    [{}, undefined],
    [{ enabled: false }, "disabled"],
    [{ root: false }, "root"],
    [{ nspawnVersion: undefined }, "not installed"],
    [{ nspawnVersion: 248 }, "too old"],
    [{ nspawnVersion: undefined, nspawnProblem: "it crashed" }, "it crashed"],
  ] as const)("%p is %p", (change, expected) => {
    const problem = healthProblem({ ...good, ...change });
    if (expected === undefined) expect(problem).toBeUndefined();
    else expect(problem).toContain(expected);
  });
});

test("a healthy host has all attributes, an unhealthy one none", () => {
  const healthy = fingerprint(good);
  expect(healthy.health).toBe(FingerprintResponse_HealthState.HEALTHY);
  const values = Object.entries(healthy.attributes).map(([name, { value }]) => [
    name.replace("driver.nspawn", ""),
    value.value,
  ]);
  expect(Object.fromEntries(values)).toEqual({
    "": true,
    ".apparmor": hasApparmor(),
    ".boot": true,
    ".bridges": "*",
    ".caps": "all",
    ".cgroup": "v2",
    ".devices": "*",
    ".driver_version": version,
    ".host_network": true,
    ".image_paths": "*",
    ".interfaces": "",
    ".network": "host,group,none,veth,bridge,zone,macvlan,ipvlan,interface",
    ".privileged": false,
    ".privileged_binds": true,
    ".properties": "",
    ".selinux": hasSelinux(),
    ".supervisor": "systemd",
    ".sysctls": "*",
    ".task_images": true,
    ".user_namespacing_required": false,
    ".version": "257",
    ".volumes": true,
  });
  const unhealthy = fingerprint({ ...good, enabled: false });
  expect(unhealthy.health).toBe(FingerprintResponse_HealthState.UNHEALTHY);
  expect(unhealthy.attributes).toEqual({});
});
