/**
 * `bun run release [--out DIR] [--sign KEY] [--tag vVERSION] [--twice] [--quick]`: builds the executable and writes all artifacts of a release into an empty
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
import { run } from "../tools/command";
import { artifactName, type Release, signSums, writeSums, writeTarball, writeZip } from "../tools/release/artifacts";
import { components, npmUrl } from "../tools/release/components";
import { releaseNotes } from "../tools/release/notes";
import { writeDeb, writeRpm } from "../tools/release/packages";
import { cycloneDx, type Subject, spdx } from "../tools/release/sbom";
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
await mkdir(directory, { recursive: true });
if ((await readdir(directory)).length > 0)
  throw new Error(`${directory} is not empty: remove it, or choose another --out.`);
await installPackages((line) => console.error(line), ["rpm", "xz-utils", "zip", "zstd", "gnupg"]);

const scratch = await mkdtemp(join(tmpdir(), "release-"));
try {
  const commit = await sourceCommit();
  const time = await commitTime();
  const binary = join(scratch, binaryName);
  await compile({ root: projectRoot, entry: "src/main.ts", outfile: binary, commit, time });
  const release: Release = { version, binary, time, directory, scratch, quick: values.quick === true };
  // Each of the four compresses the executable: together they take as long as the slowest.
  const packed = await Promise.all([writeZip(release), writeTarball(release), writeDeb(release), writeRpm(release)]);
  const files = [...packed, ...(await writeBills(release))];
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

async function writeBills(release: Release): Promise<readonly string[]> {
  const parts = await components();
  const direct = new Set(Object.keys(packageJson.dependencies));
  const uses = parts.filter(({ name, purl, version: of }) => direct.has(name) || purl !== npmUrl(name, of));
  const subject: Subject = {
    name: binaryName,
    version,
    sha256: await sha256(release.binary),
    time: release.time,
    uses: uses.map(({ purl }) => purl),
  };
  const name = artifactName(release);
  const bills = [
    [`${name}.cdx.json`, cycloneDx(subject, parts)] as const,
    [`${name}.spdx.json`, spdx(subject, parts)] as const,
  ];
  for (const [file, text] of bills) await writeFile(join(directory, file), text);
  return bills.map(([file]) => file);
}

/** Makes the release again in a clone of the commit, and compares the checksums. */
async function compareWithClone(scratch: string): Promise<void> {
  const clone = join(scratch, "clone");
  const again = join(scratch, "again");
  await run(["git", "clone", "--quiet", projectRoot, clone]);
  await run([process.execPath, "install", "--frozen-lockfile"], { cwd: clone });
  await run([process.execPath, "scripts/release.ts", "--out", again], { cwd: clone });
  const [first, second] = await Promise.all([directory, again].map((each) => readFile(join(each, sumsName), "utf8")));
  if (first !== second) throw new Error(`A second build has other bytes:\n${first}\n${second}`);
  console.error("A build from a new clone has the same bytes.");
}
