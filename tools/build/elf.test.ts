import { describe, expect, test } from "bun:test";
import { elfNeeds, newestVersion } from "./elf";

describe("elfNeeds", () => {
  test("reads the requirements of the running bun", async () => {
    const needs = elfNeeds(new Uint8Array(await Bun.file(process.execPath).arrayBuffer()));
    expect(needs.interpreter).toBe("/lib64/ld-linux-x86-64.so.2");
    expect(needs.libraries).toContain("libc.so.6");
    expect(needs.versions).toContain("GLIBC_2.2.5");
  });

  test("refuses a file that is not ELF", () => {
    expect(() => elfNeeds(new TextEncoder().encode("#!/bin/sh\n".padEnd(100)))).toThrow(/not a 64-bit/);
  });
});

test.each([
  [["GLIBC_2.3.4", "GLIBC_2.17", "GLIBC_2.9"], "2.17"],
  [["GLIBC_2.2.5"], "2.2.5"],
  [["GLIBCXX_3.4"], undefined],
])("newest GLIBC of %j is %p", (versions, newest) => {
  expect(newestVersion(versions, "GLIBC")).toBe(newest);
});
