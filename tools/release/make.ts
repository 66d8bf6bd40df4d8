/** All artifacts of one executable, and the bills of what it was made of. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import packageJson from "../../package.json";
import { sha256 } from "../build/artifacts";
import { binaryName } from "../build/project";
import { artifactName, type Release, writeTarball, writeZip } from "./artifacts";
import { components, npmUrl } from "./components";
import { writeDeb, writeRpm } from "./packages";
import { cycloneDx, type Subject, spdx } from "./sbom";

/**
 * Writes the archives, the packages and the bills of a release's executable.
 *
 * @returns the files' names
 * @throws CommandFailedError with the output of the program that failed
 */
export async function writeArtifacts(release: Release): Promise<readonly string[]> {
  // Each of the four compresses the executable: together they take as long as the slowest.
  const packed = await Promise.all([writeZip(release), writeTarball(release), writeDeb(release), writeRpm(release)]);
  return [...packed, ...(await writeBills(release))];
}

async function writeBills(release: Release): Promise<readonly string[]> {
  const parts = await components();
  const direct = new Set(Object.keys(packageJson.dependencies));
  const uses = parts.filter(({ name, purl, version }) => direct.has(name) || purl !== npmUrl(name, version));
  const subject: Subject = {
    name: binaryName,
    version: release.version,
    sha256: await sha256(release.binary),
    time: release.time,
    uses: uses.map(({ purl }) => purl),
  };
  const name = artifactName(release);
  const bills = [
    [`${name}.cdx.json`, cycloneDx(subject, parts)] as const,
    [`${name}.spdx.json`, spdx(subject, parts)] as const,
  ];
  for (const [file, text] of bills) await writeFile(join(release.directory, file), text);
  return bills.map(([file]) => file);
}
