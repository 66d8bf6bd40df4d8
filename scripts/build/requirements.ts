/** What the binary may need of a system, and the check that it needs no more. */

import { compareVersions, type ElfNeeds, newestVersion } from "./elf";

/** Oldest glibc the binary runs with; documented, so a change is a decision. RHEL 7 and Debian 8 have at least this. */
export const oldestGlibc = "2.17";

/** glibc's own libraries: a system that has glibc has them all. */
const glibcLibraries = [
  "ld-linux-x86-64.so.2",
  "libc.so.6",
  "libdl.so.2",
  "libm.so.6",
  "libpthread.so.0",
  "librt.so.1",
];

/** Sentences about needs that go beyond the stated ones; empty when all is well. */
export function requirementProblems(needs: ElfNeeds, glibc: string = oldestGlibc): string[] {
  const problems: string[] = [];
  for (const library of needs.libraries) {
    if (!glibcLibraries.includes(library))
      problems.push(`The binary is linked against ${library}, which is not part of glibc.`);
  }
  const newest = newestVersion(needs.versions, "GLIBC");
  if (newest === undefined) problems.push("The binary names no glibc version: it is not what was meant to be built.");
  else if (compareVersions(newest, glibc) > 0)
    problems.push(`The binary needs glibc ${newest}; ${glibc} is the oldest one stated.`);
  for (const version of needs.versions) {
    if (!version.startsWith("GLIBC_"))
      problems.push(`The binary needs the symbol version ${version}, which is not glibc's.`);
  }
  return problems;
}
