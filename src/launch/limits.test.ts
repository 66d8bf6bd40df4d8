import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ResourcesSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { resourceLimits, sharedCpuset, weightOfShares } from "./limits";

const mebibyte = 1024 * 1024;

test.each([
  [0, 1],
  [2, 1],
  [100, 4],
  [1024, 39],
  [262_144, 10_000],
  [1_000_000, 10_000],
])("%i shares are a weight of %i", (shares, weight) => {
  expect(weightOfShares(shares)).toBe(weight);
});

describe("resourceLimits", () => {
  const limits = (memoryMb: bigint, memoryMaxMb: bigint, cpuShares = 0n, cpusetCpus = "") =>
    resourceLimits(
      create(ResourcesSchema, {
        allocatedResources: { memory: { memoryMb, memoryMaxMb } },
        linuxResources: { cpuShares, cpusetCpus },
      }),
    );

  test("without resources nothing is limited", () => {
    expect(resourceLimits(undefined)).toEqual({});
  });
  test("memory alone is the limit", () => {
    expect(limits(300n, 0n)).toEqual({ memoryMax: 300 * mebibyte });
  });
  test("with memory_max, memory is protected and memory_max the limit", () => {
    expect(limits(300n, 500n)).toEqual({ memoryMax: 500 * mebibyte, memoryLow: 300 * mebibyte });
  });
  test.each([
    [300n, -1n, { memoryLow: 300 * mebibyte }],
    [0n, -1n, {}],
    [300n, -7n, { memoryLow: 300 * mebibyte }],
    [300n, 200n, { memoryMax: 300 * mebibyte }],
    [300n, 300n, { memoryMax: 300 * mebibyte }],
    [0n, 500n, { memoryMax: 500 * mebibyte }],
  ])("memory %i with memory_max %i", (memory, memoryMax, expected) => {
    expect(limits(memory, memoryMax)).toEqual(expected);
  });
  test("with cpu_hard_limit, cpu is a limit: the task's share of all CPUs", () => {
    const resources = create(ResourcesSchema, { linuxResources: { percentTicks: 0.125 } });
    expect(resourceLimits(resources, { cpu_hard_limit: true }, { cpus: 4 })).toEqual({ cpuQuota: 0.5 });
    expect(resourceLimits(resources, { cpu_hard_limit: false }, { cpus: 4 })).toEqual({});
    expect(resourceLimits(undefined, { cpu_hard_limit: true }, { cpus: 4 })).toEqual({});
  });
  test("processes", () => expect(resourceLimits(undefined, { pids_limit: 7 })).toEqual({ pids: 7 }));
  test("cpu is a weight, cores are a cpuset", () => {
    expect(limits(0n, 0n, 1024n, "0-1")).toEqual({ cpuWeight: 39, cpus: "0-1" });
  });
  test("a task without cores has the CPUs that the agent's tasks share", () => {
    const host = { cpus: 4, shared: "0,2-3" };
    expect(resourceLimits(undefined, {}, host)).toEqual({ cpus: "0,2-3" });
    const own = create(ResourcesSchema, { linuxResources: { cpusetCpus: "1" } });
    expect(resourceLimits(own, {}, host)).toEqual({ cpus: "1" });
  });
});

test.each([
  ["a task without cores", { cpusetCgroup: "/c/share" }, {}, "/c/share"],
  ["a task with cores", { cpusetCgroup: "/c/share", cpusetCpus: "1" }, {}, undefined],
  ["an agent without cpusets", { cpusetCgroup: "" }, {}, undefined],
  ["a path that is not absolute", { cpusetCgroup: "share" }, {}, undefined],
  ["a job with AllowedCPUs=", { cpusetCgroup: "/c/share" }, { AllowedCPUs: "0" }, undefined],
  ["a job with another property", { cpusetCgroup: "/c/share" }, { IOWeight: "10" }, "/c/share"],
])("the shared cpuset of %s", (_, linuxResources, properties, expected) => {
  expect(sharedCpuset(create(ResourcesSchema, { linuxResources }), { properties })).toBe(expected);
});

test("a task without resources has no shared cpuset", () => {
  expect(sharedCpuset(undefined, { properties: {} })).toBeUndefined();
});
