/** The machines that the driver has registered. */

import { machinesOfClient } from "../../src/machine/registry";

/** How long the driver may take to remove what it removes later. */
const PATIENCE_MS = 20_000;

/** Resolves when an agent has exactly these machines. @throws Error if it has others for too long */
export async function machinesBecome(client: string, machines: readonly string[]): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = (await machinesOfClient(client)).sort();
    if (found.join() === machines.toSorted().join()) return;
    if (performance.now() > deadline)
      throw new Error(`The machines are ${found.join(", ")}, not ${machines.join(", ")}.`);
    await Bun.sleep(50);
  }
}
