import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { AMD64_CALLS, ARM64_CALLS } from "./calls";

/** The kernel's own tables, from Debian's package linux-libc-dev: arm64 has the generic one. */
const HEADERS = [
  ["x86-64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", AMD64_CALLS],
  ["arm64", "/usr/include/asm-generic/unistd.h", ARM64_CALLS],
] as const;

describe.each(HEADERS)("the system calls of %s", (_, header, calls) => {
  test("have different numbers", () => {
    const numbers = Object.values(calls);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  test.skipIf(!existsSync(header))("are those of the kernel's header", () => {
    const lines = readFileSync(header, "utf8").matchAll(/^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm);
    const numbers = new Map([...lines].map(([, name = "", number]) => [name, Number(number)]));
    const known = Object.entries(calls).filter(([name]) => numbers.has(name));
    // Headers older than the newest calls lack those.
    expect(known.length).toBeGreaterThan(40);
    for (const [name, number] of known) expect([name, numbers.get(name)]).toEqual([name, number]);
  });
});
