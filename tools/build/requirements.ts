/** The allowed requirements of the binary, and the check that it has no others. */

import { compareVersions, type ElfNeeds, newestVersion } from "./elf";

/** Oldest glibc that the binary runs with; it is documented, so change it deliberately. RHEL 7 and Debian 8 have at least this. */
export const oldestGlibc = "2.17";

/** glibc's own libraries: every system with glibc has all of them, and the loader of its machine. */
const glibcLibraries = [
  "ld-linux-aarch64.so.1",
  "ld-linux-x86-64.so.2",
  "libc.so.6",
  "libdl.so.2",
  "libm.so.6",
  "libpthread.so.0",
  "librt.so.1",
];

/** Messages about requirements that are not allowed; empty if all are. */
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
