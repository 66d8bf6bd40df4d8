/**
 * `bun run build [--binary-only] [--arm64]`: dist/nomad-driver-nspawn, its .xz and SHA256SUMS. With `--binary-only` the latter two do not
 * exist afterwards. With `--arm64` they are in dist/arm64, for machines with such a CPU.
 */

import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { packBinary, removePacked, sha256 } from "../tools/build/artifacts";
import { compile } from "../tools/build/compile";
import { elfNeeds, newestVersion } from "../tools/build/elf";
import { arm64Binary, binaryName, commitTime, distDir, projectRoot, sourceCommit } from "../tools/build/project";
import { oldestGlibc, requirementProblems } from "../tools/build/requirements";
import { AMD64, ARM64 } from "../tools/build/targets";

const target = process.argv.includes("--arm64") ? ARM64 : AMD64;
const outfile = target === ARM64 ? arm64Binary : join(distDir, binaryName);
const commit = await sourceCommit();
await compile({ root: projectRoot, entry: "src/main.ts", outfile, commit, time: await commitTime(), target });
const needs = elfNeeds(new Uint8Array(await Bun.file(outfile).arrayBuffer()));
console.log(`commit ${commit}`);
console.log(`needs ${needs.libraries.join(", ")}; glibc ${newestVersion(needs.versions, "GLIBC")} or later`);
const problems = requirementProblems(needs, oldestGlibc);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
const files = process.argv.includes("--binary-only") ? [outfile] : [outfile, `${outfile}.xz`];
if (files.length > 1) await packBinary(outfile);
else await removePacked(outfile);
for (const file of files) {
  console.log(`${await sha256(file)}  ${basename(file)}  ${((await stat(file)).size / 1e6).toFixed(1)} MB`);
}
