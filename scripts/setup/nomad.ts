/** The Nomad agent of the tests, built from its Go module. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { projectRoot } from "../build/project";
import { run } from "../command";
import { cached } from "../images/cache";
import { goExecutable } from "./go";

const moduleDirectory = join(projectRoot, "test/nomad/agent-module");

/** Path of a nomad executable; built on first use, which takes some minutes. */
export async function nomadAgent(say?: (line: string) => void): Promise<string> {
  const [requirements, sums] = await Promise.all(
    ["go.mod", "go.sum"].map((name) => readFile(join(moduleDirectory, name), "utf8")),
  );
  // With cgo: libcontainer's nsenter, which the exec driver needs, is written in C.
  const environment = { CGO_ENABLED: "1", GOTOOLCHAIN: "local", GOFLAGS: "-mod=readonly" };
  const build = async (directory: string) => {
    const go = await goExecutable(say);
    await run([go, "build", "-trimpath", "-o", join(directory, "nomad"), "github.com/hashicorp/nomad"], {
      cwd: moduleDirectory,
      env: { ...process.env, ...environment },
    });
  };
  return join(await cached({ name: "nomad", inputs: { requirements, sums, environment }, build }, say), "nomad");
}
