import { describe, expect, test } from "bun:test";
import { amd64Variants, hostPlatform, type Platform, platformName, platformRank } from "./platform";

const V2 = "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3";
const V3 = `${V2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave`;
const V4 = `${V3} avx512bw avx512cd avx512dq avx512f avx512vl`;
const cpuinfo = (flags: string) => `processor\t: 0\nflags\t\t: fpu sse2 ${flags}\nbugs\t\t: x\n\nprocessor\t: 1\n`;

test.each([
  ["the first generation", "", ["v1", ""]],
  ["a part of v2", "cx16 popcnt sse4_1", ["v1", ""]],
  ["v2", V2, ["v2", "v1", ""]],
  ["v3", V3, ["v3", "v2", "v1", ""]],
  ["v3's own flags without v2's", "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave", ["v1", ""]],
  ["v4", V4, ["v4", "v3", "v2", "v1", ""]],
])("variants of a CPU with %s", (_, flags, variants) => {
  expect(amd64Variants(cpuinfo(flags))).toEqual(variants);
});

test("a kernel that lists no flags", () => {
  expect(amd64Variants("")).toEqual(["v1", ""]);
});

test("this machine runs what every machine of its kind runs", () => {
  const { os, architecture, variants } = hostPlatform();
  expect([os, ["amd64", "arm64"].includes(architecture), variants.at(-1)]).toEqual(["linux", true, ""]);
});

describe("platforms", () => {
  const host = { os: "linux", architecture: "amd64", variants: ["v2", "v1", ""] };
  test.each<[string, Platform, number | undefined]>([
    ["linux/amd64/v2", { os: "linux", architecture: "amd64", variant: "v2" }, 0],
    ["linux/amd64", { os: "linux", architecture: "amd64", variant: "" }, 2],
    ["linux/amd64/v3", { os: "linux", architecture: "amd64", variant: "v3" }, undefined],
    ["linux/arm64", { os: "linux", architecture: "arm64", variant: "" }, undefined],
    ["windows/amd64", { os: "windows", architecture: "amd64", variant: "" }, undefined],
    ["unknown/unknown", { os: "unknown", architecture: "unknown", variant: "" }, undefined],
    ["an image for an unknown platform", { os: "", architecture: "", variant: "" }, undefined],
    ["li?ux/?/x", { os: "li\u001bux", architecture: "\n", variant: "x" }, undefined],
  ])("%s", (name, platform, rank) => {
    expect(platformName(platform)).toBe(name);
    expect(platformRank(platform, host)).toBe(rank);
  });
});
