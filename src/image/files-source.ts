import { dockerArchiveSource } from "./docker-archive";
import { type ArchiveFormat, archiveFiles } from "./image-archive";
import { directoryFiles, filesError, type ImageFiles } from "./image-files";
import { type LayoutSelection, ociLayoutSource } from "./oci-layout";
import type { ImageSource } from "./source";
import { capital } from "./transfer/errors";

/** A source whose files are opened when they are first needed, and closed when it is disposed of. */
export interface FilesSource extends ImageSource, Disposable {}

/** An image in an archive. */
interface ArchiveRequest {
  /** Absolute, without symlinks. */
  readonly path: string;
  readonly format: ArchiveFormat;
  readonly asked?: string | undefined;
  /** The directory that a compressed archive is expanded in. */
  readonly temporary: () => Promise<string>;
  /** Bytes to keep free there. */
  readonly keepFree: number;
}

/** An image of a layout in a directory. @param directory absolute, without symlinks */
export function layoutDirectorySource(directory: string, selection: LayoutSelection): FilesSource {
  return filesSource(
    async () => directoryFiles(directory),
    (files) => ociLayoutSource(files, selection),
  );
}

/** An image of an archive. */
export function archiveSource({ path, format, asked, temporary, keepFree }: ArchiveRequest): FilesSource {
  return filesSource(
    async (signal) => await archiveFiles({ path, temporary: await temporary(), keepFree, signal }),
    (files) =>
      (format === "any" ? formatOf(files) : format) === "docker"
        ? dockerArchiveSource(files, asked)
        : ociLayoutSource(files, selectionOf(asked)),
  );
}

/** How an archive without a declared format is laid out; recent ones of `docker save` are both. @throws SourceError if it has no image */
function formatOf(files: ImageFiles): "oci" | "docker" {
  using layout = files.open("oci-layout");
  if (layout !== undefined) return "oci";
  using list = files.open("manifest.json");
  if (list !== undefined) return "docker";
  throw filesError(
    "content",
    `${capital(files.place)} has no container image: neither oci-layout nor manifest.json is in it. The archive of a root directory has to be unpacked first, which Nomad's artifact block does unless its option archive is false.`,
  );
}

function selectionOf(asked: string | undefined): LayoutSelection {
  if (asked === undefined) return {};
  return asked.startsWith("@") ? { digest: asked.slice(1) } : { tag: asked };
}

function filesSource(
  open: (signal: AbortSignal) => Promise<ImageFiles>,
  sourceOf: (files: ImageFiles) => ImageSource,
): FilesSource {
  const held = new DisposableStack();
  let opening: Promise<ImageSource> | undefined;
  const source = (signal: AbortSignal): Promise<ImageSource> => {
    opening ??= open(signal).then((files) => sourceOf(held.use(files)));
    return opening;
  };
  return {
    manifest: async (options) => (await source(options.signal)).manifest(options),
    read: async function* (content, options) {
      yield* (await source(options.signal)).read(content, options);
    },
    [Symbol.dispose]: () => held.dispose(),
  };
}
