import type { ImageSignature } from "./signature/payload";
import type { ImageManifest, ImageSource, ReadOptions } from "./source";
import { type Descriptor, SourceError } from "./source";

/** An image at its registry and at mirrors of it. */
export interface MirroredImage {
  /** In the order in which they are tried, the registry itself last. */
  readonly sources: readonly [ImageSource, ...ImageSource[]];
  /** Called when a mirror could not be used. */
  readonly onFailure: (error: SourceError) => void;
  /** Whether the next source is tried after an error; absent: after each. */
  readonly when?: (error: SourceError) => boolean;
}

/**
 * An image that is read from the first source that has it. The source that resolved the reference comes first for the contents too, and
 * the others are asked for the same digests: no mirror can mix two images. A source that breaks off in the middle of a layer is not
 * replaced by another one; the pull fails, and can be repeated.
 */
export function mirroredSource({ sources, onFailure, when = () => true }: MirroredImage): ImageSource {
  const failed = (error: SourceError): boolean => {
    if (!when(error)) return false;
    onFailure(error);
    return true;
  };
  let order: readonly ImageSource[] = sources;
  return {
    manifest: async (options) => {
      const { value, source } = await firstOf(order, failed, options, (each) => each.manifest(options));
      order = [source, ...sources.filter((each) => each !== source)];
      return value;
    },
    read: (content, options) => readFirst(order, failed, content, options),
    signatures: (digest, options) => allSignatures(order, failed, digest, options),
  };
}

/** A mirror may have an image without its signatures, so each source is asked. */
async function* allSignatures(
  sources: readonly ImageSource[],
  failed: (error: SourceError) => boolean,
  digest: string,
  options: ReadOptions,
): AsyncGenerator<readonly ImageSignature[]> {
  for (const [index, source] of sources.entries()) {
    try {
      yield* source.signatures?.(digest, options) ?? [];
    } catch (error) {
      const last = index === sources.length - 1;
      if (!(error instanceof SourceError) || options.signal.aborted || last || !failed(error)) throw error;
    }
  }
}

async function firstOf(
  sources: readonly ImageSource[],
  failed: (error: SourceError) => boolean,
  { signal }: ReadOptions,
  work: (source: ImageSource) => Promise<ImageManifest>,
): Promise<{ readonly value: ImageManifest; readonly source: ImageSource }> {
  for (const [index, source] of sources.entries()) {
    try {
      return { value: await work(source), source };
    } catch (error) {
      if (!(error instanceof SourceError) || signal.aborted || index === sources.length - 1 || !failed(error))
        throw error;
    }
  }
  throw new Error("An image has no source.");
}

async function* readFirst(
  sources: readonly ImageSource[],
  failed: (error: SourceError) => boolean,
  content: Descriptor,
  options: ReadOptions,
): AsyncGenerator<Uint8Array> {
  for (const [index, source] of sources.entries()) {
    let begun = false;
    try {
      for await (const bytes of source.read(content, options)) {
        begun = true;
        yield bytes;
      }
      return;
    } catch (error) {
      const last = index === sources.length - 1;
      if (begun || last || !(error instanceof SourceError) || options.signal.aborted || !failed(error)) throw error;
    }
  }
}
