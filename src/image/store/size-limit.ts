import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../../lib/errors";
import { readableSize } from "../../values/units";
import { digestOfName, layerPaths, readLayer, type StorePaths } from "./store-format";

/** An image that does not fit into the store's limit. */
export class SizeLimitError extends StoreError {
  /** Bytes that the image needs at least, beside what the store has of it already. */
  readonly needed: number;

  constructor(image: string, { needed, stored, most }: { needed: number; stored: number; most: number }) {
    super(
      `The image ${image} needs at least ${readableSize(needed)} in the image store, which has ${readableSize(stored)} and may have ${readableSize(most)} (plugin option gc.image_max_size): unused images were removed as far as possible.`,
      // Without any other image it would not fit either.
      { recoverable: needed <= most },
    );
    this.needed = needed;
  }
}

/** The bytes of all unpacked layers of a store, also of those that no image has (any more), as their archives have them. */
export async function storedBytes(paths: StorePaths): Promise<number> {
  let sum = 0;
  for (const name of await readdir(paths.layers)) {
    if (digestOfName(name) === undefined) continue;
    sum += (await readLayer(layerPaths(join(paths.layers, name)).record))?.bytes ?? 0;
  }
  return sum;
}

/** The size of a store during one pull. */
export class SizeLimit {
  /** @param most bytes; undefined for no limit */
  constructor(
    private readonly paths: StorePaths,
    private readonly image: string,
    private readonly most: number | undefined,
  ) {}

  /** Bytes that may be added now; undefined for no limit. */
  async room(): Promise<number | undefined> {
    return this.most === undefined ? undefined : Math.max(0, this.most - (await storedBytes(this.paths)));
  }

  /** @param bytes that are about to be added, at least @throws SizeLimitError if they do not fit */
  async require(bytes: number): Promise<void> {
    if (this.most === undefined) return;
    const stored = await storedBytes(this.paths);
    if (stored + bytes > this.most) throw this.error(bytes, stored);
  }

  /** The error for an image of which bytes have been unpacked, but not stored. */
  async exceeded(bytes: number): Promise<SizeLimitError> {
    return this.error(bytes, await storedBytes(this.paths));
  }

  private error(needed: number, stored: number): SizeLimitError {
    return new SizeLimitError(this.image, { needed, stored, most: this.most ?? 0 });
  }
}
