/** Installs everything that a fresh Debian machine needs before the checks or the demo can run. */

import { join } from "node:path";
import { bunRuntime } from "../../tools/build/bun-runtime";
import { bunVersion, projectRoot } from "../../tools/build/project";
import { targets } from "../../tools/build/targets";
import { run } from "../../tools/command";
import { installPackages } from "./packages";

type Say = (line: string) => void;

/**
 * Installs system packages and this project's own, and fetches the runtime the binary is compiled with.
 * A repeated run changes nothing and contacts no server.
 *
 * @throws Error if the machine cannot be set up
 */
export async function setUp(say: Say): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("Containers need root: run this as root.");
  if (Bun.version !== bunVersion) {
    throw new Error(
      `This is bun ${Bun.version}; the project is built with ${bunVersion}: npx --yes bun@${bunVersion} …`,
    );
  }
  await installPackages(say);
  await run([process.execPath, "install", "--frozen-lockfile"], { cwd: projectRoot });
  for (const target of targets) await bunRuntime(target, say);
  say(`ready: bun ${bunVersion}, packages of ${join(projectRoot, "bun.lock")}`);
}
