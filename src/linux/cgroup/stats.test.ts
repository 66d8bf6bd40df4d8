import { describe, expect, test } from "bun:test";
import { cpuV1, cpuV2, memoryV1, memoryV2 } from "./stats";

const files = (content: Readonly<Record<string, string>>) => (name: string) => content[name];

describe("cpu", () => {
  const basic = "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\n";

  test("v2 with the controller", () => {
    const stat = `${basic}nr_periods 9\nnr_throttled 4\nthrottled_usec 7\n`;
    expect(cpuV2(files({ "cpu.stat": stat }))).toEqual({
      usage: 3_000_000n,
      user: 2_000_000n,
      system: 1_000_000n,
      throttledPeriods: 4n,
      throttled: 7000n,
    });
  });

  test("v2 without the controller reports no throttling", () => {
    expect(cpuV2(files({ "cpu.stat": basic }))).toEqual({ usage: 3_000_000n, user: 2_000_000n, system: 1_000_000n });
  });

  test("v1", () => {
    const cpuacct = files({ "cpuacct.usage": "30\n", "cpuacct.usage_user": "20\n", "cpuacct.usage_sys": "10\n" });
    const cpu = files({ "cpu.stat": "nr_periods 1\nnr_throttled 2\nthrottled_time 3\n" });
    expect(cpuV1(cpuacct, cpu)).toEqual({ usage: 30n, user: 20n, system: 10n, throttledPeriods: 2n, throttled: 3n });
    expect(cpuV1(cpuacct, files({}))).toEqual({ usage: 30n, user: 20n, system: 10n });
  });

  test("a removed cgroup has no figures", () => {
    expect(cpuV2(files({}))).toBeUndefined();
    expect(cpuV1(files({}), files({}))).toBeUndefined();
  });
});

describe("memory", () => {
  test("v2, new and old kernels", () => {
    const content = { "memory.current": "100\n", "memory.stat": "anon 60\nfile 30\nkernel 10\nanon_thp 0\n" };
    const old = { "memory.current": "100\n", "memory.stat": "anon 60\nfile 30\n" };
    expect(memoryV2(files({ ...content, "memory.swap.current": "5\n", "memory.peak": "200\n" }))).toEqual({
      usage: 100n,
      rss: 60n,
      cache: 30n,
      swap: 5n,
      max: 200n,
      kernel: 10n,
    });
    expect(memoryV2(files(old))).toEqual({ usage: 100n, rss: 60n, cache: 30n });
  });

  test("v1, including descendants", () => {
    const content = {
      "memory.usage_in_bytes": "100\n",
      "memory.max_usage_in_bytes": "200\n",
      "memory.kmem.usage_in_bytes": "10\n",
      "memory.kmem.max_usage_in_bytes": "20\n",
      "memory.stat": "rss 1\ncache 2\ntotal_rss 60\ntotal_cache 30\n",
    };
    expect(memoryV1(files(content))).toEqual({
      usage: 100n,
      rss: 60n,
      cache: 30n,
      max: 200n,
      kernel: 10n,
      kernelMax: 20n,
    });
  });

  test("a cgroup without the controller has no figures", () => {
    expect(memoryV2(files({ "cpu.stat": "usage_usec 1\n" }))).toBeUndefined();
    expect(memoryV1(files({}))).toBeUndefined();
  });
});
