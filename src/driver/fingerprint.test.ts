import { describe, expect, test } from "bun:test";
import { FingerprintResponse_HealthState } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { fingerprint } from "./fingerprint";
import { type FingerprintFacts, healthProblem } from "./host-probe";

const good: FingerprintFacts = {
  enabled: true,
  root: true,
  nspawnVersion: 257,
  volumes: true,
  cgroup: "v2",
  supervisor: "systemd",
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
  expect(Object.keys(healthy.attributes).sort()).toEqual([
    "driver.nspawn",
    "driver.nspawn.cgroup",
    "driver.nspawn.network",
    "driver.nspawn.supervisor",
    "driver.nspawn.version",
    "driver.nspawn.volumes",
  ]);
  const unhealthy = fingerprint({ ...good, enabled: false });
  expect(unhealthy.health).toBe(FingerprintResponse_HealthState.UNHEALTHY);
  expect(unhealthy.attributes).toEqual({});
});
