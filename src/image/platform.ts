import { readFileSync } from "node:fs";
import { ifThere } from "../lib/errors";

/** The platform of an image, in Go's terms (GOOS, GOARCH); "" for a part that its author left out. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** For amd64 the level of the instruction set, "v1" to "v4"; for arm64 "v8". */
  readonly variant: string;
}

/** What this machine can run. */
export interface HostPlatform {
  readonly os: string;
  readonly architecture: string;
  /** The variants of the architecture that the CPU can run, the best one first; "" stands for any CPU. */
  readonly variants: readonly string[];
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64" };

/** The flags in /proc/cpuinfo that each level of x86-64 adds to the one before (System V ABI for x86-64, "Micro-Architecture Levels"). */
const LEVELS: readonly (readonly string[])[] = [
  ["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"],
  ["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"],
  ["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"],
];

/** The variants of amd64 that a CPU can run. @param cpuinfo the text of /proc/cpuinfo (proc_cpuinfo(5)) */
export function amd64Variants(cpuinfo: string): readonly string[] {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/));
  const missing = LEVELS.findIndex((level) => level.some((flag) => !flags.has(flag)));
  const level = (missing < 0 ? LEVELS.length : missing) + 1;
  return [...Array.from({ length: level }, (_, below) => `v${level - below}`), ""];
}

let host: HostPlatform | undefined;

/** The platform of this process. */
export function hostPlatform(): HostPlatform {
  host ??= readHostPlatform();
  return host;
}

function readHostPlatform(): HostPlatform {
  const architecture = ARCHITECTURES[process.arch] ?? process.arch;
  const cpuinfo = ifThere(() => readFileSync("/proc/cpuinfo", "utf8"), "");
  return { os: "linux", architecture, variants: architecture === "amd64" ? amd64Variants(cpuinfo) : ["v8", ""] };
}

/**
 * How well an image's platform fits: 0 is best, undefined not at all. A list that has "v1" and an entry without a variant means the same
 * by both.
 */
export function platformRank({ os, architecture, variant }: Platform, wanted: HostPlatform): number | undefined {
  if (os !== wanted.os || architecture !== wanted.architecture) return undefined;
  const rank = wanted.variants.indexOf(variant);
  return rank < 0 ? undefined : rank;
}

/** A platform as `docker manifest inspect` and others write it; only characters that are safe in a message. */
export function platformName({ os, architecture, variant }: Platform): string {
  const name = [os, architecture, ...(variant === "" ? [] : [variant])].join("/");
  return name === "/" ? "an image for an unknown platform" : name.replace(/[^\w./-]/g, "?").slice(0, 40);
}
