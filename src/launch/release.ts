import { releaseRoot } from "../image/store/image-store";
import type { Logger } from "../lib/logger";
import { containerRoot, removeContainerFiles } from "../machine/files";
import { releaseNetwork } from "../network/private/private-network";

/**
 * Releases everything that the driver created for a container, except what its supervisor keeps. It is called when a task is destroyed,
 * after a failed start, and for what a killed plugin left, so any part may be missing. The owner record is removed last, and is kept
 * if something could not be released, so that an interrupted or failed release is found and retried later.
 *
 * @throws the first error, after everything else has been released
 */
export async function releaseContainer(machine: string, log: Pick<Logger, "warn">): Promise<void> {
  const network = await failureOf(releaseNetwork(machine, log));
  const root = await containerRoot(machine);
  if (root !== undefined && root !== "") await releaseRoot(root);
  await removeContainerFiles(machine, { owner: network === undefined });
  if (network !== undefined) throw network.error;
}

async function failureOf(work: Promise<void>): Promise<{ readonly error: unknown } | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return { error };
  }
}
