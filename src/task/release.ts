import { releaseRoot } from "../image/store/image-store";
import { releaseNetwork } from "../network/private-network";
import type { Logger } from "../plugin/logger";
import { containerRoot, removeContainerFiles } from "./files";

/**
 * Gives back everything the driver made for a container beside what its supervisor keeps. It is called when a task is destroyed,
 * after a failed start, and for what a killed plugin left, so nothing of it needs to be there. The owner's name goes last, and stays
 * where something could not be given back: a release that was interrupted or failed is found again by it.
 *
 * @throws the first error, when everything else has been given back
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
