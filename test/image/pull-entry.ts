/** Pulls an image into a store and reports it, for tests that kill the pulling process. Arguments: store, image's directory, tag. */

import { layoutDirectorySource } from "../../src/image/files-source";
import { ImageStore } from "../../src/image/store/image-store";
import { createLogger } from "../../src/plugin/logger";

const [directory = "", layout = "", tag = ""] = process.argv.slice(2);
const store = new ImageStore({
  directory,
  log: createLogger("pull", (line) => process.stderr.write(line)),
  isOwned: () => true,
});
using source = layoutDirectorySource(layout, { tag });
using acquired = await store.acquire({
  name: `oci:${layout}:${tag}`,
  source,
  reuse: false,
  keepFree: 0,
  verity: false,
  signal: AbortSignal.timeout(60_000),
});
console.log(JSON.stringify({ fetched: acquired.fetched, image: acquired.image.digest }));
