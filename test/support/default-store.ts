import { afterAll, beforeAll } from "bun:test";
import { existsSync, rmSync } from "node:fs";

/** The default of the plugin option image_store. */
const DEFAULT_STORE = "/var/lib/nomad-driver-nspawn";

/** For tests of the command `run`, which has no option for the image store: removes the one it made after the tests of a file. */
export function removeDefaultStore(): void {
  let existed = true;
  beforeAll(() => {
    existed = existsSync(DEFAULT_STORE);
  });
  afterAll(() => {
    if (!existed) rmSync(DEFAULT_STORE, { recursive: true, force: true });
  });
}
