/**
 * `bun run release [--out DIR] [--sign KEY] [--tag vVERSION] [--twice] [--quick]`: builds the executables for all machines and writes all artifacts of a release into an empty
 * directory, dist/release by default: archives, packages, SBOMs, release notes, checksums and, with a key, their signature. With --twice
 * everything is made again from a new clone of the commit, and has to have the same bytes. --quick compresses less, for a test.
 */

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import packageJson from "../package.json";
import { sha256, sumsName } from "../tools/build/artifacts";
import { compile } from "../tools/build/compile";
import { binaryName, commitTime, distDir, projectRoot, sourceCommit } from "../tools/build/project";
import { targets } from "../tools/build/targets";
import { run } from "../tools/command";
import { signSums, writeSums } from "../tools/release/artifacts";
import { writeArtifacts } from "../tools/release/make";
import { releaseNotes } from "../tools/release/notes";
import { installPackages } from "./setup/packages";

const { values } = parseArgs({
  options: {
    ...{ out: { type: "string" }, sign: { type: "string" }, tag: { type: "string" } },
    ...{ twice: { type: "boolean" }, quick: { type: "boolean" } },
  },
});
const { version } = packageJson;
if (values.tag !== undefined && values.tag !== `v${version}`) {
  throw new Error(`The tag ${values.tag} is not that of package.json's version: v${version} is expected.`);
}
const directory = resolve(values.out ?? join(distDir, "release"));
if (values.twice === true) await refuseChanges();
await mkdir(directory, { recursive: true });
if ((await readdir(directory)).length > 0)
  throw new Error(`${directory} is not empty: remove it, or choose another --out.`);
await installPackages((line) => console.error(line), ["rpm", "xz-utils", "zip", "zstd", "gnupg"]);

const scratch = await mkdtemp(join(tmpdir(), "release-"));
try {
  const commit = await sourceCommit();
  const time = await commitTime();
  const files: string[] = [];
  for (const target of targets) {
    const packing = join(scratch, target.name);
    const binary = join(packing, "built", binaryName);
    await compile({ root: projectRoot, entry: "src/main.ts", outfile: binary, commit, time, target });
    const quick = values.quick === true;
    files.push(...(await writeArtifacts({ version, binary, target, time, directory, scratch: packing, quick })));
    await rm(packing, { recursive: true });
  }
  await writeFile(
    join(directory, "NOTES.md"),
    releaseNotes(await readFile(join(projectRoot, "CHANGELOG.md"), "utf8"), version),
  );
  await writeSums(directory, files);
  if (values.twice === true) await compareWithClone(scratch);
  if (values.sign !== undefined) await signSums(directory, values.sign);
  for (const name of (await readdir(directory)).sort()) {
    console.log(
      `${await sha256(join(directory, name))}  ${name}  ${(Bun.file(join(directory, name)).size / 1e6).toFixed(1)} MB`,
    );
  }
} finally {
  await rm(scratch, { recursive: true });
}

/** A clone has only what is committed: without this, the comparison would fail after minutes, with two lists of checksums. */
async function refuseChanges(): Promise<void> {
  const { stdout } = await run(["git", "status", "--porcelain"], { cwd: projectRoot });
  if (stdout === "") return;
  throw new Error(
    `--twice compares with a clone, which has only what is committed. Commit or remove first:\n${stdout}`,
  );
}

/** Makes the release again in a clone of the commit, and compares the checksums. */
async function compareWithClone(scratch: string): Promise<void> {
  const clone = join(scratch, "clone");
  const again = join(scratch, "again");
  const quick = values.quick === true ? ["--quick"] : [];
  await run(["git", "clone", "--quiet", projectRoot, clone]);
  await run([process.execPath, "install", "--frozen-lockfile"], { cwd: clone });
  await run([process.execPath, "scripts/release.ts", "--out", again, ...quick], { cwd: clone });
  const [first, second] = await Promise.all([directory, again].map((each) => readFile(join(each, sumsName), "utf8")));
  if (first !== second) throw new Error(`A second build has other bytes:\n${first}\n${second}`);
  console.error("A build from a new clone has the same bytes.");
}
