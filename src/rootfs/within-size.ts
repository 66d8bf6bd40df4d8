import type { ImageStore } from "../image/store/image-store";
import { SizeLimitError } from "../image/store/size-limit";

/**
 * How much more an image may need than is known of it before it is unpacked: layers are compressed to a third or so. If that is not enough
 * everything that is unused is removed.
 */
const ESTIMATES = [3, Number.POSITIVE_INFINITY] as const;

/**
 * Fetches something within the store's limit: if it does not fit, unused images are removed, the least recently used first, and it is
 * tried again. Layers that were complete are not fetched again, unless they had to be removed.
 *
 * @param most bytes; undefined for no limit
 * @throws SizeLimitError if images in use leave too little room, and what `fetch` throws
 */
export async function withinSize<Result>(
  store: ImageStore,
  most: number | undefined,
  fetch: () => Promise<Result>,
): Promise<Result> {
  for (const estimate of ESTIMATES) {
    try {
      return await fetch();
    } catch (error) {
      if (!(error instanceof SizeLimitError) || most === undefined) throw error;
      await store.makeRoom(error.needed * estimate, most);
    }
  }
  return await fetch();
}
