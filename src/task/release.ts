import { releaseRoot } from "../image/store/image-store";
import { releaseNetwork } from "../network/private-network";
import { containerRoot, removeContainerFiles } from "./files";

/**
 * Gives back everything the driver made for a container beside what its supervisor keeps. It is called when a task is destroyed,
 * after a failed start, and for what a killed plugin left, so nothing of it needs to be there. The files go last: the owner's
 * name among them is what an interrupted release is found again by.
 */
export async function releaseContainer(machine: string): Promise<void> {
  try {
    await releaseNetwork(machine);
  } finally {
    const root = await containerRoot(machine);
    if (root !== undefined && root !== "") await releaseRoot(root);
    await removeContainerFiles(machine);
  }
}
