import { join } from "node:path";
import { projectRoot } from "../build/project";
import { run } from "../command";

/** The directory of the site's generator, which has packages of its own: the driver and its tests need none of them. */
export const generatorDir = join(projectRoot, "site");

/** Installs the generator's packages; does nothing, and contacts no server, if they are there. */
export async function installGenerator(): Promise<void> {
  await run([process.execPath, "install", "--frozen-lockfile"], { cwd: generatorDir });
}
