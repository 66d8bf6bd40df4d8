import { expect, test } from "bun:test";
import { requirementProblems } from "./requirements";

const good = { interpreter: "/lib64/ld-linux-x86-64.so.2", libraries: ["libc.so.6"], versions: ["GLIBC_2.17"] };

test("only glibc, in no newer version than documented, is accepted", () => {
  expect(requirementProblems(good)).toEqual([]);
});

test.each([
  [{ ...good, libraries: ["libc.so.6", "libstdc++.so.6"] }, "linked against libstdc++.so.6"],
  [{ ...good, versions: ["GLIBC_2.2.5", "GLIBC_2.34"] }, "needs glibc 2.34; 2.17"],
  [{ ...good, versions: ["GLIBC_2.17", "GCC_3.0"] }, "GCC_3.0, which is not glibc's"],
  [{ ...good, versions: [] }, "names no glibc version"],
])("%j is reported as a problem", (needs, sentence) => {
  expect(requirementProblems(needs).join("\n")).toContain(sentence);
});
