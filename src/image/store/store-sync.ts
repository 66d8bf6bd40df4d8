import { startTimer } from "../../lib/deadline";
import { errorText } from "../../lib/errors";
import type { Logger } from "../../lib/logger";
import { unsyncedLayers } from "./layers";
import type { StorePaths } from "./store-format";
import { startSync } from "./workers";

/**
 * How long after a pull its layers are synced: the container that needs them starts meanwhile, with the processors and the disk for itself. A
 * power failure in that time costs another pull, as one during the sync does.
 */
const DELAY_MS = 1000;

/**
 * Syncs a store's layers to the disk in the background, in a separate process, because the call takes as long as the disk does.
 * If the host loses power before that, the layers are fetched again.
 */
export class StoreSync {
  #running: Promise<void> = Promise.resolve();
  #stopTimer: (() => void) | undefined;

  constructor(private readonly log: Logger) {}

  /** After a pull; layers of several pulls are synced together. */
  soon(paths: StorePaths): void {
    this.#stopTimer ??= startTimer(DELAY_MS, () => {
      this.#stopTimer = undefined;
      this.now(paths);
    });
  }

  /** At once, or after the sync that runs. */
  now(paths: StorePaths): void {
    this.#running = this.#running
      .then(() => syncLayers(paths))
      .catch((error: unknown) => {
        this.log.warn("cannot sync image layers to the disk", { error: errorText(error) });
      });
  }
}

async function syncLayers(paths: StorePaths): Promise<void> {
  using opened = new DisposableStack();
  const layers = await unsyncedLayers(paths);
  for (const layer of layers) opened.use(layer);
  if (layers.length === 0) return;
  const child = startSync(paths.layers);
  child.unref();
  if ((await child.exited) !== 0) throw new Error(`its process exited with code ${child.exitCode}`);
  for (const layer of layers) await layer.markSynced();
}
